/**
 * Finds records by the hash of what they hold: a hash table of slot numbers and nothing else, 5 to 8 bytes a record where a
 * `Map` takes forty, and its keys besides. What a slot's hash is, and whether it is the one that is looked for, is for the
 * owner of the records to say; two records may be alike.
 *
 * Open addressing: a slot stands where its hash says, or in the next free place behind. Deleting moves back what stood
 * behind, so nothing is ever marked as deleted and a search ends at the first free place.
 */

const FIRST_PLACES = 1024;
/** Half as much again: doubling would leave more than half of it free, and has twice as much of it at once. */
const GROWTH = 1.5;

export class SlotIndex {
  readonly #hashOf: (slot: number) => number;
  /** Each a slot and 1; 0 where it is free. */
  #places = emptyPlaces(FIRST_PLACES);
  #size = 0;

  /** `hashOf` of a slot never changes while the slot is in here. 32 bits, well mixed, the highest ones too. */
  constructor(hashOf: (slot: number) => number) {
    this.#hashOf = hashOf;
  }

  get size(): number {
    return this.#size;
  }

  /** A slot of that hash that `matches`, or -1. */
  find(hash: number, matches: (slot: number) => boolean): number {
    const places = this.#places;
    for (let place = home(hash, places.length); ; place = after(place, places.length)) {
      const slot = (places[place] as number) - 1;
      if (slot < 0 || matches(slot)) return slot;
    }
  }

  /** `slot` is in here once at the most. */
  add(slot: number): void {
    // Three quarters full at the most: a search looks at a few places.
    if (++this.#size * 4 > this.#places.length * 3) this.#resize(this.#places.length * GROWTH);
    this.#put(slot);
  }

  /** Does nothing where it is not in here. */
  delete(slot: number): void {
    const { length } = this.#places;
    let place = home(this.#hashOf(slot), length);
    while (this.#places[place] !== slot + 1) {
      if (this.#places[place] === 0) return;
      place = after(place, length);
    }
    this.#closeGap(place);
    if (--this.#size * 4 < length && length > FIRST_PLACES) this.#resize(length / GROWTH);
  }

  /** Moves into the free `gap` what stands behind it only because that was taken, and so on with the gap that leaves. */
  #closeGap(gap: number): void {
    const places = this.#places;
    const { length } = places;
    let free = gap;
    for (let place = after(gap, length); places[place] !== 0; place = after(place, length)) {
      const due = home(this.#hashOf((places[place] as number) - 1), length);
      if (distance(due, place, length) < distance(free, place, length)) continue;
      places[free] = places[place] as number;
      free = place;
    }
    places[free] = 0;
  }

  #resize(places: number): void {
    const former = this.#places;
    this.#places = emptyPlaces(Math.max(FIRST_PLACES, Math.round(places)));
    for (const entry of former) if (entry !== 0) this.#put(entry - 1);
  }

  #put(slot: number): void {
    const { length } = this.#places;
    let place = home(this.#hashOf(slot), length);
    while (this.#places[place] !== 0) place = after(place, length);
    this.#places[place] = slot + 1;
  }
}

/** Shared memory for the reason that `RecordPages` has. */
function emptyPlaces(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(count * 4));
}

/** Any number of places will do: the hash as a share of all there are, of these. */
function home(hash: number, places: number): number {
  return Math.floor(((hash >>> 0) / 2 ** 32) * places);
}

function after(place: number, places: number): number {
  return place + 1 === places ? 0 : place + 1;
}

/** From one place on to the other. */
function distance(from: number, to: number, places: number): number {
  return to >= from ? to - from : to - from + places;
}
