/**
 * What is kept for each volume while it is mounted: made when it is first asked for, and given up, of volumes that were
 * removed meanwhile, when the next one's is made.
 */
import type { MountedVolume } from '../mounted-volume.ts';

export class PerVolume<T> {
  readonly #values = new Map<MountedVolume, T>();
  readonly #make: (volume: MountedVolume) => T;
  readonly #end: (volume: MountedVolume, value: T) => void;

  constructor(make: (volume: MountedVolume) => T, end: (volume: MountedVolume, value: T) => void) {
    this.#make = make;
    this.#end = end;
  }

  get(volume: MountedVolume): T {
    const known = this.#values.get(volume);
    if (known !== undefined) return known;
    for (const [other, value] of this.#values) {
      if (other.mounted) continue;
      this.#values.delete(other);
      this.#end(other, value);
    }
    const value = this.#make(volume);
    this.#values.set(volume, value);
    return value;
  }
}
