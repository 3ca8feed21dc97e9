/** What the file system, and whoever fetches ahead for it, are told of volumes: of each by the name of its directory. */
import { CID } from 'multiformats/cid';
import { directoryNameOf } from './volume-name.ts';
import type { VolumeOptions } from './volume-options.ts';
import type { VolumeRecord } from './volume-record.ts';
import type { VolumeTree } from './volume-tree.ts';

export class ShownVolumes {
  readonly #tree: VolumeTree;
  readonly #optionsOf: (record: VolumeRecord) => VolumeOptions;

  constructor(tree: VolumeTree, optionsOf: (record: VolumeRecord) => VolumeOptions) {
    this.#tree = tree;
    this.#optionsOf = optionsOf;
  }

  /** It is about to be shown, with that root; `show` follows, or `hide`. */
  expect(record: VolumeRecord, root: CID): void {
    this.#tree.expectVolume?.(directoryNameOf(record.name), root, this.#optionsOf(record));
  }

  /** `starting`: somebody is about to use it, and no earlier process showed it. */
  show(record: VolumeRecord, starting: boolean): void {
    if (!record.resolved) return;
    const options = this.#optionsOf(record);
    const { uid, gid, fileMode, dirMode, timeoutMs } = options;
    const { cid, kind } = record.resolved;
    const name = directoryNameOf(record.name);
    const spec = { name, root: CID.parse(cid), kind, uid, gid, fileMode, dirMode, timeoutMs };
    this.#tree.addVolume(spec, options, starting);
  }

  hide(record: VolumeRecord): void {
    this.#tree.removeVolume(directoryNameOf(record.name));
  }

  /** It is gone, or leads elsewhere from now on. */
  forget(record: VolumeRecord): void {
    const root = record.resolved ? CID.parse(record.resolved.cid) : undefined;
    this.#tree.forgetVolume?.(directoryNameOf(record.name), root, this.#optionsOf(record));
  }
}
