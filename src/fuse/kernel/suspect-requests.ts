/**
 * Which requests daemons were working on when they ended by themselves, and how often: the kernel sends them again to the
 * next daemon, and one that is the cause would end each of them for ever.
 *
 * A daemon that an exception ends says itself what it was working on. One that ran out of memory, was aborted, or hung
 * until it was killed for it, says nothing: then everything that comes again counts, in the process that comes next. A
 * daemon that somebody else kills says nothing about its requests: one that waits for a slow source outlives any number of
 * kills.
 *
 * A small file beside the connection's other state, a line for each request and end, appended to at an end and at no other
 * time.
 */
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { RESENT_UNIQUE_BIT } from './protocol.ts';

/** One end may be anybody's, and who waited beside the cause comes again together with it. */
const MAX_ENDS = 3;

export interface SuspectOptions {
  /** What earlier processes wrote counts; else it is of another connection, and removed. */
  readonly inherited: boolean;
  /** The process before ended by itself and said nothing. */
  readonly suspectAll: boolean;
}

export class SuspectRequests {
  readonly #path: string;
  readonly #suspectAll: boolean;
  readonly #suspects: () => Iterable<bigint>;
  /** By `unique`, without the bit that says that it was sent again. */
  readonly #ends: Map<bigint, number>;

  /** `suspects` gives the requests that are being worked on. Watches until `close`. */
  constructor(path: string, { inherited, suspectAll }: SuspectOptions, suspects: () => Iterable<bigint>) {
    this.#path = path;
    this.#suspectAll = suspectAll;
    this.#suspects = suspects;
    if (!inherited) rmSync(path, { force: true });
    this.#ends = inherited ? load(path) : new Map();
    process.on('uncaughtExceptionMonitor', this.#write);
  }

  /**
   * To be called for each request that comes, before it is worked on: how many daemons ended of it, where that is too many
   * for another try; else undefined.
   */
  tooMany(unique: bigint): number | undefined {
    if ((unique & RESENT_UNIQUE_BIT) === 0n) return undefined;
    if (this.#suspectAll) this.#count([unique]);
    const ends = this.#ends.get(keyOf(unique)) ?? 0;
    return ends >= MAX_ENDS ? ends : undefined;
  }

  close(): void {
    process.off('uncaughtExceptionMonitor', this.#write);
  }

  readonly #write = (): void => this.#count([...this.#suspects()]);

  #count(uniques: readonly bigint[]): void {
    try {
      for (const unique of uniques) this.#ends.set(keyOf(unique), (this.#ends.get(keyOf(unique)) ?? 0) + 1);
      appendFileSync(this.#path, uniques.map((unique) => `${keyOf(unique)}\n`).join(''), { mode: 0o600 });
    } catch {
      // Of what cannot be written down the supervisor's limit is what is left.
    }
  }
}

function keyOf(unique: bigint): bigint {
  return unique & ~RESENT_UNIQUE_BIT;
}

/** Nothing where nobody ended so. A line that was cut off is none. */
function load(path: string): Map<bigint, number> {
  const ends = new Map<bigint, number>();
  try {
    for (const [, unique = ''] of readFileSync(path, 'utf8').matchAll(/^(\d+)\n/gm))
      ends.set(BigInt(unique), (ends.get(BigInt(unique)) ?? 0) + 1);
  } catch {
    // As if nobody had.
  }
  return ends;
}
