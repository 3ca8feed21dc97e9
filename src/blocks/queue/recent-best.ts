/**
 * The best of what was seen lately, by whatever is better: a maximum or a minimum that forgets. Two generations are kept;
 * `age` begins a new one and drops the one before the last.
 */
export class RecentBest {
  readonly #better: (a: number, b: number) => number;
  #former: number | undefined;
  #current: number | undefined;

  /** `better`: `Math.max` or `Math.min`. */
  constructor(better: (a: number, b: number) => number) {
    this.#better = better;
  }

  add(value: number): void {
    this.#current = this.#current === undefined ? value : this.#better(value, this.#current);
  }

  /** 0 before anything was seen. */
  get value(): number {
    if (this.#former === undefined || this.#current === undefined) return this.#current ?? this.#former ?? 0;
    return this.#better(this.#former, this.#current);
  }

  /** Where nothing was seen since the last time, what was before it still counts. */
  age(): void {
    if (this.#current === undefined) return;
    this.#former = this.#current;
    this.#current = undefined;
  }

  /** Takes all that was seen for `factor` times as much. */
  scale(factor: number): void {
    if (this.#former !== undefined) this.#former *= factor;
    if (this.#current !== undefined) this.#current *= factor;
  }
}
