/**
 * Docker's mounts of volumes, counted by its mount ID, on one FUSE connection: a new one starts at zero. Everything here is called in a turn of the state's changes.
 *
 * What always holds:
 * - The file system shows exactly the volumes with a count above zero.
 * - A Mount that fails has no effect. An Unmount always has: no disk makes it fail, then it is written later, and a daemon that
 *   dies before that leaves a count that Remove takes back.
 */
import type { Logger } from '../base/log.ts';
import type { ShownVolumes } from './shown-volumes.ts';
import type { StateChanges } from './state-changes.ts';
import { leakedMounts, mountsOf, type VolumeRecord } from './volume-record.ts';

export class MountCounts {
  readonly #changes: StateChanges;
  readonly #shown: ShownVolumes;
  readonly #logger: Logger;

  constructor(changes: StateChanges, shown: ShownVolumes, logger: Logger) {
    this.#changes = changes;
    this.#shown = shown;
    this.#logger = logger;
  }

  /** One more, of a volume whose content is known, by a call that had no effect yet. @throws as `StateFile.save` */
  async add(record: VolumeRecord, mountId: string, call?: string): Promise<void> {
    const before = structuredClone(record.mounts);
    const first = mountsOf(record) === 0;
    record.mounts[mountId] = { count: (before[mountId]?.count ?? 0) + 1, lastCall: call ?? null };
    this.#changes.noteEffect(call);
    await this.#changes.saveOr(() => {
      record.mounts = before;
    }, call);
    // What is fetched from here on takes the thread: the disk is not to wait for that.
    if (first) this.#shown.show(record, true);
  }

  /** One less. An unknown ID is no error. */
  async remove(record: VolumeRecord, mountId: string, call?: string): Promise<void> {
    if (!record.mounts[mountId] || this.#changes.hadEffect(call)) return;
    this.#changes.noteEffect(call);
    await this.#discount(record, mountId);
  }

  /** Undoes whatever the Mount named `call` did, and would still do. */
  async takeBack(record: VolumeRecord, mountId: string, call: string | undefined): Promise<void> {
    const counted = call === undefined || this.#changes.hadEffect(call);
    this.#changes.noteUndone(call);
    if (counted) await this.#discount(record, mountId);
  }

  /** Of a volume that nobody uses. @throws as `StateFile.save` */
  async takeBackLeaked(record: VolumeRecord): Promise<void> {
    const leaked = leakedMounts(record);
    const before = structuredClone(record.mounts);
    for (const id of leaked) delete record.mounts[id];
    await this.#changes.saveOr(() => {
      record.mounts = before;
    });
    this.#logger.warn({ volume: record.name, leaked: leaked.length }, 'a volume is removed that was left mounted');
    if (mountsOf(record) === 0) this.#shown.hide(record);
  }

  /** Whatever the disk says: nobody can do anything about a failure. */
  async #discount(record: VolumeRecord, mountId: string): Promise<void> {
    const { count = 0 } = record.mounts[mountId] ?? {};
    if (count > 1) record.mounts[mountId] = { count: count - 1, lastCall: null };
    else delete record.mounts[mountId];
    if (mountsOf(record) === 0) this.#shown.hide(record);
    await this.#changes.saveOrLater();
  }
}
