/**
 * A file system with content mounted, ready to be asked.
 */
import type { CID } from 'multiformats/cid';
import type { NodeId } from '../../src/fs/file-system.ts';
import { IpfsFileSystem, type IpfsFileSystemOptions } from '../../src/fs/ipfs-file-system.ts';
import type { VolumeSpec } from '../../src/fs/mounted-volume.ts';
import { UnixfsReader } from '../../src/unixfs/unixfs-reader.ts';
import type { BlockMap } from './block-map.ts';
import { context } from './walk-file-system.ts';

export function volumeSpec(root: CID, overrides: Partial<VolumeSpec> = {}): VolumeSpec {
  return { name: 'v', root, uid: 0, gid: 0, fileMode: 0o444, dirMode: 0o555, timeoutMs: 1000, ...overrides };
}

export function fileSystemOver(blocks: BlockMap, options: IpfsFileSystemOptions & { cacheBytes?: number } = {}) {
  const { cacheBytes } = options;
  return new IpfsFileSystem(new UnixfsReader(blocks, cacheBytes === undefined ? {} : { cacheBytes }), options);
}

/** Adds a volume and looks its root up. */
export async function mountRoot(
  fileSystem: IpfsFileSystem,
  root: CID,
  overrides: Partial<VolumeSpec> = {},
): Promise<NodeId> {
  const spec = volumeSpec(root, overrides);
  fileSystem.addVolume(spec);
  return (await fileSystem.lookup(1, Buffer.from(spec.name), context)).attributes.node;
}
