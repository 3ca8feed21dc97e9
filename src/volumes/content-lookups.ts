/**
 * What mounts wait for, volume by volume: the look-up of what a reference leads to, or the root block of what is known.
 *
 * One look-up serves all who wait for it; one who leaves does not end it. Why the latest failed is remembered until a
 * mount succeeds.
 */
import { CID } from 'multiformats/cid';
import { messageChain } from '../base/errors.ts';
import type { ContentResolver } from './content-resolver.ts';
import { resolveForMount } from './resolve-for-mount.ts';
import { waitFor } from './shared-wait.ts';
import type { VolumeOptions } from './volume-options.ts';
import { mountsOf, type ResolvedContent, type VolumeRecord } from './volume-record.ts';

export class ContentLookups {
  readonly #resolver: ContentResolver;
  readonly #optionsOf: (record: VolumeRecord) => VolumeOptions;
  // By the record and not by its name: a name may be removed and made anew while a look-up is under way.
  readonly #underWay = new Map<VolumeRecord, Promise<ResolvedContent>>();
  readonly #errors = new WeakMap<VolumeRecord, { readonly text: string; readonly atMs: number }>();

  constructor(resolver: ContentResolver, optionsOf: (record: VolumeRecord) => VolumeOptions) {
    this.#resolver = resolver;
    this.#optionsOf = optionsOf;
  }

  /** A name may lead elsewhere at each first mount, also after one that ended without an Unmount; a CID never does. */
  known(record: VolumeRecord): ResolvedContent | null {
    if (record.resolved === null || mountsOf(record) > 0) return record.resolved;
    return this.#optionsOf(record).reference.space === 'ipns' ? null : record.resolved;
  }

  /** What is known, or what is found now. @throws as `resolveForMount`, and ABORTED */
  async find(record: VolumeRecord, signal: AbortSignal): Promise<ResolvedContent> {
    return this.known(record) ?? (await this.#lookUp(record, this.#optionsOf(record), signal));
  }

  /**
   * As `find`, and of what is known once its root block is here, which asks nobody where it is already: whoever binds a volume
   * looks at its root, and a container that cannot start for it should hear why. @throws as `find`
   */
  async reach(record: VolumeRecord, signal: AbortSignal): Promise<ResolvedContent> {
    const known = this.known(record);
    if (!known || this.isHere(known)) return this.find(record, signal);
    const reference = { space: 'ipfs', cid: CID.parse(known.cid), path: [] } as const;
    return this.#lookUp(record, { ...this.#optionsOf(record), reference }, signal);
  }

  #lookUp(record: VolumeRecord, options: VolumeOptions, signal: AbortSignal): Promise<ResolvedContent> {
    let shared = this.#underWay.get(record);
    if (!shared) {
      shared = resolveForMount(this.#resolver, options)
        .catch((error: unknown) => {
          this.#errors.set(record, { text: messageChain(error), atMs: performance.now() });
          throw error;
        })
        .finally(() => this.#underWay.delete(record));
      this.#underWay.set(record, shared);
    }
    return waitFor(shared, signal);
  }

  /** As `ContentResolver.resolveHere`. */
  findHere(record: VolumeRecord): Promise<ResolvedContent | undefined> {
    return this.#resolver.resolveHere(this.#optionsOf(record).reference);
  }

  isHere({ cid }: ResolvedContent): boolean {
    return this.#resolver.isHere(CID.parse(cid));
  }

  /** Why the latest look-up failed; null where it did not, or `mounted` was called since. */
  error(record: VolumeRecord): string | null {
    return this.#errors.get(record)?.text ?? null;
  }

  /** When that was, by `performance.now()`. */
  errorMs(record: VolumeRecord): number {
    return this.#errors.get(record)?.atMs ?? 0;
  }

  mounted(record: VolumeRecord): void {
    this.#errors.delete(record);
  }
}
