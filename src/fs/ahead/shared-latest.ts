/**
 * The latest things of each of several owners, such as the directories that a volume's readers looked into, within one
 * bound over all of them: where it is passed, whoever holds most gives up its oldest. So the memory is that of one owner
 * however many there are, and one who rushes through a large tree pushes out its own.
 */

interface Held<Key, Value> {
  /** Latest last. */
  readonly items: Map<Key, Value>;
  weight: number;
}

export interface SharedLatestOptions<Key> {
  /** Of all items of all owners. */
  readonly maxWeight: number;
  /** 1 for each item where it is not given. Never changes. */
  readonly weigh?: (key: Key) => number;
  /** Items of one owner; no bound of their own where it is not given. */
  readonly maxEach?: number;
}

export class SharedLatest<Owner, Key, Value> {
  readonly #owners = new Map<Owner, Held<Key, Value>>();
  readonly #maxWeight: number;
  readonly #maxEach: number;
  readonly #weigh: (key: Key) => number;
  #weight = 0;

  constructor({ maxWeight, weigh = () => 1, maxEach = Number.POSITIVE_INFINITY }: SharedLatestOptions<Key>) {
    this.#maxWeight = maxWeight;
    this.#maxEach = maxEach;
    this.#weigh = weigh;
  }

  /** Of all that is held. */
  get weight(): number {
    return this.#weight;
  }

  get(owner: Owner, key: Key): Value | undefined {
    return this.#owners.get(owner)?.items.get(key);
  }

  has(owner: Owner, key: Key): boolean {
    return this.#owners.get(owner)?.items.has(key) ?? false;
  }

  /** An owner's items, latest last. */
  items(owner: Owner): ReadonlyMap<Key, Value> {
    return this.#owners.get(owner)?.items ?? new Map();
  }

  /** As the latest of the owner's. */
  set(owner: Owner, key: Key, value: Value): void {
    let held = this.#owners.get(owner);
    if (!held) {
      held = { items: new Map(), weight: 0 };
      this.#owners.set(owner, held);
    }
    if (!held.items.delete(key)) this.#weighed(held, this.#weigh(key));
    held.items.set(key, value);
    if (held.items.size > this.#maxEach) this.#dropOldest(owner, held);
    while (this.#weight > this.#maxWeight) this.#dropOldest(...this.#heaviest());
  }

  /** The owner is no more. */
  forget(owner: Owner): void {
    const held = this.#owners.get(owner);
    if (held) this.#weighed(held, -held.weight);
    this.#owners.delete(owner);
  }

  #dropOldest(owner: Owner, held: Held<Key, Value>): void {
    const [oldest] = held.items.keys();
    held.items.delete(oldest as Key);
    this.#weighed(held, -this.#weigh(oldest as Key));
    if (held.items.size === 0) this.#owners.delete(owner);
  }

  #heaviest(): [Owner, Held<Key, Value>] {
    let heaviest: [Owner, Held<Key, Value>] | undefined;
    for (const entry of this.#owners) if (!heaviest || entry[1].weight > heaviest[1].weight) heaviest = entry;
    return heaviest as [Owner, Held<Key, Value>];
  }

  #weighed(held: Held<Key, Value>, weight: number): void {
    held.weight += weight;
    this.#weight += weight;
  }
}
