/** The file system's control side as the registry sees it, with the prefetcher told of every volume that comes and goes. */
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import type { Prefetcher } from '../../src/prefetch/prefetcher.ts';
import type { VolumeTree } from '../../src/volumes/volume-tree.ts';

/** `pinnedRoots` are those of all volumes with `pin=true` at the time of the call. */
export function prefetchedTree(
  fileSystem: IpfsFileSystem,
  prefetcher: Prefetcher,
  pinnedRoots: Parameters<Prefetcher['removed']>[3],
): VolumeTree {
  return {
    expectVolume(name, root, options) {
      prefetcher.expected(name, root, options);
    },
    addVolume(spec, options, starting) {
      prefetcher.mounted(spec.name, fileSystem.addVolume(spec), options, starting);
    },
    removeVolume(name) {
      prefetcher.unmounted(name);
      return fileSystem.removeVolume(name);
    },
    forgetVolume(name, root, { pin }) {
      void prefetcher.removed(name, root, pin, pinnedRoots);
    },
  };
}
