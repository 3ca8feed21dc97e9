/**
 * Which requests a daemon was working on when it crashed by itself, and how often: the kernel sends them again to the
 * next daemon, and one that is the cause would end each of them for ever.
 *
 * Only what an exception ends counts. A daemon that is killed says nothing about its requests: one that waits for a slow
 * source outlives any number of kills. Nor can one write anything that runs out of memory or is aborted.
 *
 * A small file beside the connection's other state, written at a crash and at no other time.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { RESENT_UNIQUE_BIT } from './protocol.ts';

/** One crash may be anybody's, and who waited beside the cause comes again together with it. */
const MAX_CRASHES = 3;

export class SuspectRequests {
  readonly #path: string;
  readonly #suspects: () => Iterable<bigint>;
  /** By `unique`, without the bit that says that it was sent again. */
  readonly #crashes: Map<bigint, number>;

  /**
   * `suspects` gives the requests that are being worked on. What an earlier process wrote to `path` counts where the
   * connection was `inherited`, and is removed where it is new. Watches until `close`.
   */
  constructor(path: string, inherited: boolean, suspects: () => Iterable<bigint>) {
    this.#path = path;
    this.#suspects = suspects;
    if (!inherited) rmSync(path, { force: true });
    this.#crashes = inherited ? load(path) : new Map();
    process.on('uncaughtExceptionMonitor', this.#write);
  }

  /** How many daemons crashed of the request, where that is too many for another try; else undefined. */
  tooMany(unique: bigint): number | undefined {
    if (this.#crashes.size === 0 || (unique & RESENT_UNIQUE_BIT) === 0n) return undefined;
    const crashes = this.#crashes.get(unique & ~RESENT_UNIQUE_BIT) ?? 0;
    return crashes >= MAX_CRASHES ? crashes : undefined;
  }

  close(): void {
    process.off('uncaughtExceptionMonitor', this.#write);
  }

  readonly #write = (): void => {
    try {
      for (const unique of this.#suspects()) {
        const key = unique & ~RESENT_UNIQUE_BIT;
        this.#crashes.set(key, (this.#crashes.get(key) ?? 0) + 1);
      }
      const entries = [...this.#crashes].map(([unique, crashes]) => [String(unique), crashes]);
      writeFileSync(`${this.#path}.new`, JSON.stringify(entries), { mode: 0o600 });
      renameSync(`${this.#path}.new`, this.#path);
    } catch {
      // It ends the process all the same, by its first exception and not by this one.
    }
  };
}

function load(path: string): Map<bigint, number> {
  try {
    const entries = JSON.parse(readFileSync(path, 'utf8')) as [string, number][];
    return new Map(entries.map(([unique, crashes]) => [BigInt(unique), crashes]));
  } catch {
    // Nobody crashed, or it could not be written down: then the supervisor's limit is what is left.
    return new Map();
  }
}
