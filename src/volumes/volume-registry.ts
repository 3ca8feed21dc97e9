/**
 * The volumes: created, mounted, counted, remembered. Docker's verbs end here, and know nothing of HTTP.
 *
 * What always holds:
 * - `get`, `list`, `create`, `unmount` and `remove` ask no network: trouble with IPFS never makes Docker forget a volume.
 * - A call has its effect on the disk before it returns, and one that fails has none; but for Unmount, which no disk makes
 *   fail: then it is written later, and a daemon that dies before that leaves a count that Remove takes back.
 * - Calls that change something take turns.
 * - The file system shows exactly the volumes with a mount count above zero.
 * - Mounts are counted by Docker's mount ID, and belong to one FUSE connection: a new one starts at zero.
 */
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { ContentLookups } from './content-lookups.ts';
import type { ContentResolver } from './content-resolver.ts';
import { MountsUnderWay } from './mounts-under-way.ts';
import { StateChanges } from './state-changes.ts';
import type { StateFile } from './state-file.ts';
import { directoryNameOf } from './volume-name.ts';
import { differences, type OptionDefaults, parseVolumeOptions, type VolumeOptions } from './volume-options.ts';
import { leakedMounts, mountsOf, type ResolvedContent, type VolumeRecord } from './volume-record.ts';
import type { VolumeTree } from './volume-tree.ts';

export interface RegistryOptions {
  readonly state: StateFile;
  /** Names the FUSE connection that this process serves. */
  readonly connection: string;
  /** Where the file system is mounted, as Docker is to be told. */
  readonly mountRoot: string;
  readonly tree: VolumeTree;
  readonly content: ContentResolver;
  /** True where a bind mount of that directory of the mount root can be seen: somebody uses it, whatever was counted. */
  readonly isBound?: (directoryName: string) => Promise<boolean>;
  readonly defaults: OptionDefaults;
  readonly logger: Logger;
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
  readonly #records = new Map<string, VolumeRecord>();
  readonly #lookups: ContentLookups;
  readonly #mounting = new MountsUnderWay();
  readonly #changes: StateChanges;
  /** On its way to the disk. */
  #created: VolumeRecord | undefined;

  /**
   * Loads the state, and shows what was mounted on this connection. A disk that is full keeps nobody from that: what was
   * mounted before is as it was. @throws as `StateFile.load`
   */
  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#lookups = new ContentLookups(options.content);
    const { connection, volumes, calls } = options.state.load();
    this.#changes = new StateChanges(calls, (latest) => this.#write(latest), options.logger);
    for (const record of volumes) {
      if (connection !== options.connection) record.mounts = {};
      this.#records.set(record.name, record);
      if (mountsOf(record) > 0) this.#show(record, false);
    }
    if (connection !== options.connection) void this.#changes.inTurn(() => this.#changes.saveOrLater());
  }

  /** Idempotent for equal options. @throws OPTION_INVALID, REFERENCE_INVALID, VOLUME_EXISTS with the differences */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    return this.#changes.inTurn(() => this.#create(name, options));
  }

  async #create(name: string, options: Readonly<Record<string, string>>): Promise<void> {
    if (name === '') throw new CodedError('REQUEST_INVALID', 'the volume has no name');
    const known = this.#records.get(name);
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
    // Nobody may be told of it before it is kept: Docker would not create it again.
    this.#created = { name, options: { ...options }, createdAt, resolved: null, mounts: {} };
    try {
      await this.#changes.save();
      this.#records.set(name, this.#created);
    } finally {
      this.#created = undefined;
    }
  }

  /** @throws VOLUME_NOT_FOUND, VOLUME_IN_USE */
  remove(name: string): Promise<void> {
    return this.#changes.inTurn(() => this.#remove(name));
  }

  async #remove(name: string): Promise<void> {
    const record = this.get(name);
    const mounts = mountsOf(record);
    if (mounts > 0) {
      const times = `${mounts} time${mounts === 1 ? '' : 's'}`;
      throw new CodedError('VOLUME_IN_USE', `the volume "${name}" is mounted ${times}: remove what uses it first`);
    }
    this.#records.delete(name);
    await this.#changes.saveOr(() => this.#records.set(name, record));
    this.#forget(record);
  }

  /**
   * For a volume that is about to be removed: takes back what was counted under the engine's own IDs. It asks for a
   * removal only when no container of its, running or not, has the volume. What is counted then has leaked: with
   * live-restore, a container that ended while the engine was down is never unmounted. The same holds for
   * `ipfs-volume mount`, whose bind mount is gone, where it was killed. Counts under other IDs are somebody else's, and
   * stay; all of them stay where a bind mount of the volume is seen. @throws VOLUME_NOT_FOUND
   */
  reconcile(name: string): Promise<void> {
    return this.#changes.inTurn(() => this.#reconcile(name));
  }

  async #reconcile(name: string): Promise<void> {
    const record = this.get(name);
    const leaked = leakedMounts(record);
    if (leaked.length === 0 || (await this.#options.isBound?.(directoryNameOf(name)))) return;
    const before = structuredClone(record.mounts);
    for (const id of leaked) delete record.mounts[id];
    await this.#changes.saveOr(() => {
      record.mounts = before;
    });
    this.#options.logger.warn({ volume: name, leaked: leaked.length }, 'a volume is removed that was left mounted');
    if (mountsOf(record) === 0) this.#options.tree.removeVolume(directoryNameOf(name));
  }

  /** What the volume's reference leads to, looked up where it is not known yet. @throws as `mount` */
  async content(name: string, signal: AbortSignal): Promise<ResolvedContent> {
    const record = this.get(name);
    const content = await this.#lookUp(record, this.#known(record), signal);
    await this.#changes.inTurn(async () => {
      if (this.#settle(record, content)) await this.#changes.save();
    });
    return content;
  }

  /** The options of a volume, read. @throws VOLUME_NOT_FOUND */
  options(name: string, record = this.get(name)): VolumeOptions {
    return this.#parse(record);
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
      // Of one that was removed meanwhile the name may be another's.
      if (wasExpected && mountsOf(record) === 0 && this.#records.get(name) === record)
        this.#options.tree.removeVolume(directoryNameOf(name));
    }
  }

  async #mount(record: VolumeRecord, mountId: string, { signal, call }: MountCall): Promise<string> {
    const { name } = record;
    const known = this.#known(record);
    const content =
      known && mountsOf(record) === 0
        ? await this.#lookups.reach(record, this.#parse(record), known, signal)
        : await this.#lookUp(record, known, signal);
    return this.#changes.inTurn(async () => {
      if (this.#records.get(name) !== record) throw notFound(name);
      if (signal.aborted || this.#changes.wasUndone(call)) throw gone(signal);
      if (!this.#changes.hadEffect(call)) await this.#count(record, mountId, this.#known(record) ?? content, call);
      if (!signal.aborted) return this.mountpoint(name);
      // It left while the disk took it down, and will never unmount.
      await this.#takeBack(record, mountId, call);
      throw gone(signal);
    });
  }

  /** Has what is known of its start fetched beside its root, where that root stands in its reference and is not here. */
  #expect(record: VolumeRecord): boolean {
    const options = this.#parse(record);
    const { reference, peers } = options;
    // Who names peers knows that nobody has it until they are connected.
    if (reference.space !== 'ipfs' || reference.path.length > 0 || peers.length > 0) return false;
    const known = this.#known(record);
    if (known && (mountsOf(record) > 0 || this.#lookups.isHere(known))) return false;
    this.#options.tree.expectVolume?.(directoryNameOf(record.name), reference.cid, options);
    return true;
  }

  async #count(record: VolumeRecord, mountId: string, content: ResolvedContent, call?: string): Promise<void> {
    const before = structuredClone(record.mounts);
    const first = mountsOf(record) === 0;
    this.#settle(record, content);
    record.mounts[mountId] = { count: (before[mountId]?.count ?? 0) + 1, lastCall: call ?? null };
    this.#changes.noteEffect(call);
    await this.#changes.saveOr(() => {
      record.mounts = before;
    }, call);
    // What is fetched from here on takes the thread: the disk is not to wait for that.
    if (first) this.#show(record, true);
    this.#lookups.mounted(record);
  }

  /** Takes one mount back. An unknown ID is no error. @throws VOLUME_NOT_FOUND */
  unmount(name: string, mountId: string, call?: string): Promise<void> {
    return this.#changes.inTurn(async () => {
      const record = this.get(name);
      if (!record.mounts[mountId] || this.#changes.hadEffect(call)) return;
      this.#changes.noteEffect(call);
      await this.#discount(record, mountId);
    });
  }

  /** For the Mount named `call`, whose caller has gone and never heard of it: whatever it did, or would still do, is undone. */
  takeBack(name: string, mountId: string, call: string | undefined): Promise<void> {
    return this.#changes.inTurn(async () => {
      const record = this.#records.get(name);
      if (record) await this.#takeBack(record, mountId, call);
    });
  }

  async #takeBack(record: VolumeRecord, mountId: string, call: string | undefined): Promise<void> {
    const counted = call === undefined || this.#changes.hadEffect(call);
    this.#changes.noteUndone(call);
    if (counted) await this.#discount(record, mountId);
  }

  /** One mount less, whatever the disk says: nobody can do anything about a failure. */
  async #discount(record: VolumeRecord, mountId: string): Promise<void> {
    const { count = 0 } = record.mounts[mountId] ?? {};
    if (count > 1) record.mounts[mountId] = { count: count - 1, lastCall: null };
    else delete record.mounts[mountId];
    if (mountsOf(record) === 0) this.#options.tree.removeVolume(directoryNameOf(record.name));
    await this.#changes.saveOrLater();
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  /** @throws VOLUME_NOT_FOUND */
  get(name: string): VolumeRecord {
    const record = this.#records.get(name);
    if (!record) throw notFound(name);
    return record;
  }

  list(): VolumeRecord[] {
    return [...this.#records.values()];
  }

  /** Why the latest Mount failed; null where it did not. */
  mountError(name: string): string | null {
    const record = this.#records.get(name);
    return record ? this.#lookups.error(record) : null;
  }

  /** When that was, by `performance.now()`. */
  mountErrorMs(name: string): number {
    const record = this.#records.get(name);
    return record ? this.#lookups.errorMs(record) : 0;
  }

  /** Where the volume is mounted, or would be. */
  mountpoint(name: string): string {
    return join(this.#options.mountRoot, directoryNameOf(name));
  }

  /** A name may lead elsewhere at each first mount, also after one that ended without an Unmount; a CID never does. */
  #known(record: VolumeRecord): ResolvedContent | null {
    if (record.resolved === null || mountsOf(record) > 0) return record.resolved;
    return this.#parse(record).reference.space === 'ipns' ? null : record.resolved;
  }

  /** What is known, or what is found now. @throws VOLUME_NOT_FOUND where the volume was removed meanwhile */
  async #lookUp(record: VolumeRecord, known: ResolvedContent | null, signal: AbortSignal): Promise<ResolvedContent> {
    const found = known ?? (await this.#lookups.find(record, this.#parse(record), signal));
    if (this.#records.get(record.name) !== record) throw notFound(record.name);
    // Another call may have mounted it meanwhile: what that one found is shown, and stands.
    return this.#known(record) ?? found;
  }

  /**
   * Takes note of what the reference leads to, and of what it led to before lets go: that is remembered until then, also
   * unmounted, since pins may hold it. True where the two differ.
   */
  #settle(record: VolumeRecord, content: ResolvedContent): boolean {
    if (record.resolved?.cid === content.cid) return false;
    const before = { ...record };
    record.resolved = content;
    if (before.resolved) this.#forget(before);
    return true;
  }

  #forget(record: VolumeRecord): void {
    const root = record.resolved ? CID.parse(record.resolved.cid) : undefined;
    this.#options.tree.forgetVolume?.(directoryNameOf(record.name), root, this.#parse(record));
  }

  #show(record: VolumeRecord, starting: boolean): void {
    if (!record.resolved) return;
    const options = this.#parse(record);
    const { uid, gid, fileMode, dirMode, timeoutMs } = options;
    const { cid, kind } = record.resolved;
    const name = directoryNameOf(record.name);
    const spec = { name, root: CID.parse(cid), kind, uid, gid, fileMode, dirMode, timeoutMs };
    this.#options.tree.addVolume(spec, options, starting);
  }

  #parse(record: VolumeRecord): ReturnType<typeof parseVolumeOptions> {
    return parseVolumeOptions(record.name, record.options, this.#options.defaults);
  }

  #write(calls: readonly string[]): Promise<void> {
    const volumes = this.#created ? [...this.list(), this.#created] : this.list();
    return this.#options.state.save({ connection: this.#options.connection, volumes, calls });
  }
}

function gone(signal: AbortSignal): CodedError {
  return new CodedError('ABORTED', 'the caller went away', { cause: signal.reason });
}

function notFound(name: string): CodedError {
  // The engine looks for these words.
  return new CodedError('VOLUME_NOT_FOUND', `no such volume: ${name}`);
}
