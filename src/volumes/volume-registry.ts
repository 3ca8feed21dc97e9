/**
 * The volumes: created, mounted, removed. Docker's verbs end here, and know nothing of HTTP. What there is to remember of them
 * stands in `volume-records.ts`, mounts are counted in `mount-counts.ts`.
 *
 * What always holds:
 * - `get`, `list`, `create`, `unmount` and `remove` ask no network: trouble with IPFS never makes Docker forget a volume.
 * - A call has its effect on the disk before it returns, and one that fails has none; but for Unmount, which no disk makes fail.
 * - Calls that change something take turns.
 */
import { join } from 'node:path';
import { CodedError } from '../base/errors.ts';
import { ContentLookups } from './content-lookups.ts';
import type { ContentResolver } from './content-resolver.ts';
import { MountCounts } from './mount-counts.ts';
import { MountsUnderWay } from './mounts-under-way.ts';
import { ShownVolumes } from './shown-volumes.ts';
import { directoryNameOf } from './volume-name.ts';
import { differences, type OptionDefaults, parseVolumeOptions, type VolumeOptions } from './volume-options.ts';
import { leakedMounts, mountsOf, type ResolvedContent, type VolumeRecord } from './volume-record.ts';
import { VolumeRecords, type VolumeRecordsOptions } from './volume-records.ts';
import type { VolumeTree } from './volume-tree.ts';

export interface RegistryOptions extends VolumeRecordsOptions {
  /** Where the file system is mounted, as Docker is to be told. */
  readonly mountRoot: string;
  readonly tree: VolumeTree;
  readonly content: ContentResolver;
  /** True where a bind mount of that directory of the mount root can be seen: somebody uses it, whatever was counted. */
  readonly isBound?: (directoryName: string) => Promise<boolean>;
  readonly defaults: OptionDefaults;
  readonly now?: () => Date;
}

export interface MountCall {
  /** Aborted when the caller has gone: what was begun is rolled back. */
  readonly signal: AbortSignal;
  /** Names the call: one that is relayed twice counts once. */
  readonly call?: string | undefined;
  /** True where an earlier attempt of this call may have had its effect already. */
  readonly repeated?: boolean;
  /** True where its caller has gone without an answer: what an earlier attempt did is to be taken back. */
  readonly givenUp?: boolean;
}

export class VolumeRegistry {
  readonly #options: RegistryOptions;
  readonly #records: VolumeRecords;
  readonly #shown: ShownVolumes;
  readonly #counts: MountCounts;
  readonly #lookups: ContentLookups;
  readonly #mounting = new MountsUnderWay();

  /**
   * Loads the state, and shows what was mounted on this connection. A disk that is full keeps nobody from that: what was
   * mounted before is as it was. @throws as `StateFile.load`
   */
  constructor(options: RegistryOptions) {
    const optionsOf = ({ name, options: written }: VolumeRecord) => parseVolumeOptions(name, written, options.defaults);
    this.#options = options;
    this.#records = new VolumeRecords(options);
    this.#shown = new ShownVolumes(options.tree, optionsOf);
    this.#counts = new MountCounts(this.#records.changes, this.#shown, options.logger);
    this.#lookups = new ContentLookups(options.content, optionsOf);
    for (const record of this.list()) if (mountsOf(record) > 0) this.#shown.show(record, false);
  }

  /** Idempotent for equal options. @throws OPTION_INVALID, REFERENCE_INVALID, VOLUME_EXISTS with the differences */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    return this.#inTurn(() => this.#create(name, options));
  }

  async #create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    if (name === '') throw new CodedError('REQUEST_INVALID', 'the volume has no name');
    const known = this.#records.find(name);
    if (known) {
      const different = differences(known.options, options);
      if (different === '') return;
      throw new CodedError(
        'VOLUME_EXISTS',
        `the volume "${name}" exists with other options: ${different}; remove it first`,
      );
    }
    parseVolumeOptions(name, options, this.#options.defaults);
    const createdAt = (this.#options.now?.() ?? new Date()).toISOString();
    await this.#records.add({ name, options: { ...options }, createdAt, resolved: null, mounts: {} });
  }

  /** @throws VOLUME_NOT_FOUND, VOLUME_IN_USE */
  remove(name: string): Promise<void> {
    return this.#inTurn(() => this.#remove(name));
  }

  async #remove(name: string): Promise<void> {
    const record = this.get(name);
    const mounts = mountsOf(record);
    if (mounts > 0) {
      const times = `${mounts} time${mounts === 1 ? '' : 's'}`;
      throw new CodedError('VOLUME_IN_USE', `the volume "${name}" is mounted ${times}: remove what uses it first`);
    }
    await this.#records.remove(record);
    this.#shown.forget(record);
  }

  /**
   * For a volume that is about to be removed: takes back what was counted under the engine's own IDs. It asks for a
   * removal only when no container of its, running or not, has the volume. What is counted then has leaked: with
   * live-restore, a container that ended while the engine was down is never unmounted. The same holds for
   * `ipfs-volume mount`, whose bind mount is gone, where it was killed. Counts under other IDs are somebody else's, and
   * stay; all of them stay where a bind mount of the volume is seen. @throws VOLUME_NOT_FOUND
   */
  reconcile(name: string): Promise<void> {
    return this.#inTurn(() => this.#reconcile(name));
  }

  async #reconcile(name: string): Promise<void> {
    const record = this.get(name);
    if (leakedMounts(record).length === 0 || (await this.#options.isBound?.(directoryNameOf(name)))) return;
    await this.#counts.takeBackLeaked(record);
  }

  /** What the volume's reference leads to, looked up where it is not known yet. @throws as `mount` */
  async content(name: string, signal: AbortSignal): Promise<ResolvedContent> {
    const record = this.get(name);
    const content = this.#current(record, await this.#lookups.find(record, signal));
    await this.#inTurn(async () => {
      if (this.#settle(record, content)) await this.#records.changes.save();
    });
    return content;
  }

  /**
   * Has the volume's reference followed by what is on this machine, asking nobody, where nobody has looked where it leads: `get`
   * knows it then, in a later turn, where all that lies on the way is here. Never fails.
   */
  async look(name: string): Promise<void> {
    const record = this.#records.find(name);
    if (!record || record.resolved) return;
    const found = await this.#lookups.findHere(record);
    if (found && this.#records.isThere(record)) record.resolved ??= found;
  }

  /** The options of a volume, read. @throws VOLUME_NOT_FOUND */
  options(name: string): VolumeOptions {
    return parseVolumeOptions(name, this.get(name).options, this.#options.defaults);
  }

  /**
   * Counts a mount under Docker's `mountId` ('' where it gave none) and gives the mountpoint. Waits for the root block
   * where that is not here and nobody has the volume mounted, for 25 s at the most.
   * @throws VOLUME_NOT_FOUND, ABORTED, and why the content cannot be had; nothing is counted then.
   */
  async mount(name: string, mountId: string, { signal, call }: MountCall): Promise<string> {
    const record = this.get(name);
    this.#mounting.begin(record, this.#expect(record));
    try {
      return await this.#mount(record, mountId, { signal, call });
    } finally {
      const wasExpected = this.#mounting.end(record);
      if (wasExpected && mountsOf(record) === 0 && this.#records.isThere(record)) this.#shown.hide(record);
    }
  }

  async #mount(record: VolumeRecord, mountId: string, { signal, call }: MountCall): Promise<string> {
    const isFirst = mountsOf(record) === 0;
    const found = await (isFirst ? this.#lookups.reach(record, signal) : this.#lookups.find(record, signal));
    const content = this.#current(record, found);
    return this.#inTurn(async () => {
      this.#records.checkIsThere(record);
      if (signal.aborted || this.#records.changes.wasUndone(call)) throw gone(signal);
      if (!this.#records.changes.hadEffect(call)) await this.#count(record, mountId, content, call);
      if (!signal.aborted) return this.mountpoint(record.name);
      // It left while the disk took it down, and will never unmount.
      await this.#counts.takeBack(record, mountId, call);
      throw gone(signal);
    });
  }

  /** Has what is known of its start fetched beside its root, where that root stands in its reference and is not here. */
  #expect(record: VolumeRecord): boolean {
    const { reference, peers } = this.options(record.name);
    // Who names peers knows that nobody has it until they are connected.
    if (reference.space !== 'ipfs' || reference.path.length > 0 || peers.length > 0) return false;
    const known = this.#lookups.known(record);
    if (known && (mountsOf(record) > 0 || this.#lookups.isHere(known))) return false;
    this.#shown.expect(record, reference.cid);
    return true;
  }

  async #count(record: VolumeRecord, mountId: string, content: ResolvedContent, call?: string): Promise<void> {
    this.#settle(record, this.#lookups.known(record) ?? content);
    await this.#counts.add(record, mountId, call);
    this.#lookups.mounted(record);
  }

  /** Takes one mount back. An unknown ID is no error. @throws VOLUME_NOT_FOUND */
  unmount(name: string, mountId: string, call?: string): Promise<void> {
    return this.#inTurn(() => this.#counts.remove(this.get(name), mountId, call));
  }

  /** For the Mount named `call`, whose caller has gone and never heard of it: whatever it did, or would still do, is undone. */
  takeBack(name: string, mountId: string, call: string | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const record = this.#records.find(name);
      if (record) await this.#counts.takeBack(record, mountId, call);
    });
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  /** @throws VOLUME_NOT_FOUND */
  get(name: string): VolumeRecord {
    return this.#records.get(name);
  }

  list(): VolumeRecord[] {
    return this.#records.list();
  }

  /** Why the latest Mount failed; null where it did not. */
  mountError(name: string): string | null {
    const record = this.#records.find(name);
    return record ? this.#lookups.error(record) : null;
  }

  /** When that was, by `performance.now()`. */
  mountErrorMs(name: string): number {
    const record = this.#records.find(name);
    return record ? this.#lookups.errorMs(record) : 0;
  }

  /** Where the volume is mounted, or would be. */
  mountpoint(name: string): string {
    return join(this.#options.mountRoot, directoryNameOf(name));
  }

  /** What is known by now, where another call mounted it meanwhile: that is shown, and stands. @throws VOLUME_NOT_FOUND */
  #current(record: VolumeRecord, found: ResolvedContent): ResolvedContent {
    this.#records.checkIsThere(record);
    return this.#lookups.known(record) ?? found;
  }

  /**
   * Takes note of what the reference leads to, and of what it led to before lets go: that is remembered until then, also
   * unmounted, since pins may hold it. True where the two differ.
   */
  #settle(record: VolumeRecord, content: ResolvedContent): boolean {
    if (record.resolved?.cid === content.cid) return false;
    const before = { ...record };
    record.resolved = content;
    if (before.resolved) this.#shown.forget(before);
    return true;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#records.changes.inTurn(work);
  }
}

function gone(signal: AbortSignal): CodedError {
  return new CodedError('ABORTED', 'the caller went away', { cause: signal.reason });
}
