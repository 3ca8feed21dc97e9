/**
 * A bound on bytes that several share without knowing of each other: each may hold up to twice what nobody holds. Alone
 * that is two thirds of the bound; and whoever holds what it does not give back, a volume whose source is silent, leaves
 * the next one room, and that one the next.
 */

const SHARE = 2;

export class SharedBound<Owner> {
  readonly #limitBytes: number;
  readonly #held = new Map<Owner, number>();
  #heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Held over all owners. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether the owner may take more; how much it takes then is its own to bound. */
  hasRoom(owner: Owner): boolean {
    return (this.#held.get(owner) ?? 0) < SHARE * (this.#limitBytes - this.#heldBytes);
  }

  take(owner: Owner, bytes: number): void {
    this.#held.set(owner, (this.#held.get(owner) ?? 0) + bytes);
    this.#heldBytes += bytes;
  }

  /** Some of what was taken. */
  give(owner: Owner, bytes: number): void {
    const left = (this.#held.get(owner) ?? 0) - bytes;
    if (left > 0) this.#held.set(owner, left);
    else this.#held.delete(owner);
    this.#heldBytes -= bytes;
  }
}
