/**
 * Mounts under way, by volume, and whether something is fetched for one already: what was begun for one Mount is of use to the
 * others that wait for the same volume, and is to end with the last of them.
 */
import type { VolumeRecord } from './volume-record.ts';

export class MountsUnderWay {
  readonly #counts = new WeakMap<VolumeRecord, number>();
  readonly #fetching = new WeakSet<VolumeRecord>();

  /** One more. `fetching`: something was begun for it. */
  begin(record: VolumeRecord, fetching: boolean): void {
    this.#counts.set(record, (this.#counts.get(record) ?? 0) + 1);
    if (fetching) this.#fetching.add(record);
  }

  /** One less. True where it was the last, and something was begun. */
  end(record: VolumeRecord): boolean {
    const left = (this.#counts.get(record) ?? 1) - 1;
    this.#counts.set(record, left);
    return left === 0 && this.#fetching.delete(record);
  }
}
