/**
 * The best of what was seen lately, by whatever is better: a maximum or a minimum that forgets. Two generations are kept;
 * `age` begins a new one and drops the one before the last.
 */
interface Seen {
  readonly value: number;
  /** What it was seen with. */
  readonly of: number;
}

export class RecentBest {
  readonly #isBetter: (a: number, b: number) => boolean;
  #former: Seen | undefined;
  #current: Seen | undefined;

  constructor(isBetter: (a: number, b: number) => boolean) {
    this.#isBetter = isBetter;
  }

  add(value: number, of: number): void {
    if (!this.#current || this.#isBetter(value, this.#current.value)) this.#current = { value, of };
  }

  /** 0 before anything was seen. */
  get value(): number {
    return this.#best?.value ?? 0;
  }

  get of(): number {
    return this.#best?.of ?? 0;
  }

  age(): void {
    this.#former = this.#current;
    this.#current = undefined;
  }

  /** Takes all that was seen for `factor` times as much. */
  scale(factor: number): void {
    const scaled = (seen: Seen | undefined) => seen && { ...seen, value: seen.value * factor };
    this.#former = scaled(this.#former);
    this.#current = scaled(this.#current);
  }

  get #best(): Seen | undefined {
    if (!this.#former || !this.#current) return this.#current ?? this.#former;
    return this.#isBetter(this.#former.value, this.#current.value) ? this.#former : this.#current;
  }
}
