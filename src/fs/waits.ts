/**
 * What readers wait for at this moment, oldest first: what an operator asks first when a container hangs.
 *
 * Only what could not be answered in its turn comes here, so it costs nothing while everything is on this machine.
 */

export interface Wait {
  /** For people: `bytes 0 to 4095 of bafk…`, `"name" in bafy…`, `the entries of bafy…`. */
  readonly what: string;
  /** By the file system's clock. */
  readonly sinceMs: number;
}

export class Waits {
  /** In the order of adding, which is that of age. */
  readonly #waits = new Set<Wait>();

  get size(): number {
    return this.#waits.size;
  }

  get oldest(): Wait | undefined {
    return this.#waits.values().next().value;
  }

  add(wait: Wait): void {
    this.#waits.add(wait);
  }

  delete(wait: Wait): void {
    this.#waits.delete(wait);
  }
}
