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
import type { ResolvedContent, VolumeRecord } from './volume-record.ts';

export class ContentLookups {
  readonly #resolver: ContentResolver;
  // By the record and not by its name: a name may be removed and made anew while a look-up is under way.
  readonly #underWay = new Map<VolumeRecord, Promise<ResolvedContent>>();
  readonly #errors = new WeakMap<VolumeRecord, { readonly text: string; readonly atMs: number }>();

  constructor(resolver: ContentResolver) {
    this.#resolver = resolver;
  }

  /** What the reference in `options` leads to now. @throws as `resolveForMount`, and ABORTED */
  find(record: VolumeRecord, options: VolumeOptions, signal: AbortSignal): Promise<ResolvedContent> {
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

  /**
   * `known` as soon as its root block is here, which asks nobody where it is already: whoever binds a volume looks at its
   * root, and a container that cannot start for it should hear why. @throws as `find`
   */
  async reach(
    record: VolumeRecord,
    options: VolumeOptions,
    known: ResolvedContent,
    signal: AbortSignal,
  ): Promise<ResolvedContent> {
    if (this.isHere(known)) return known;
    const reference = { space: 'ipfs', cid: CID.parse(known.cid), path: [] } as const;
    return this.find(record, { ...options, reference }, signal);
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
