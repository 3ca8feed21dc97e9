/** Few values that many share: each has a small number while somebody counts on it. */
export class CountedValues<T> {
  readonly #numbers = new Map<T, number>();
  readonly #values: (T | undefined)[] = [];
  readonly #counts: number[] = [];
  readonly #free: number[] = [];

  /** The number of `value`, counted once more. */
  take(value: T): number {
    let number = this.#numbers.get(value);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#values.length;
      this.#numbers.set(value, number);
      this.#values[number] = value;
      this.#counts[number] = 0;
    }
    this.#counts[number] = (this.#counts[number] as number) + 1;
    return number;
  }

  get(number: number): T {
    return this.#values[number] as T;
  }

  /** Of what `take` gave, once each time. */
  give(number: number): void {
    const left = (this.#counts[number] as number) - 1;
    this.#counts[number] = left;
    if (left > 0) return;
    this.#numbers.delete(this.get(number));
    this.#values[number] = undefined;
    this.#free.push(number);
  }
}
