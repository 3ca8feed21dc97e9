/**
 * Which volumes were being fetched in the background when daemons ended by themselves, and how often. A block whose decoding
 * ends the process (out of memory, an abort in native code) would be met again by each daemon that follows, for ever, with
 * nobody having asked for it; so a volume of which three daemons ended is left alone. A request that is such a poison is
 * another's to find (`suspect-requests.ts`).
 *
 * What runs stands in a small file beside the connection's other state before it begins, since most such ends leave no time
 * for a word. Who ran beside the cause is suspected with it; suspects run one after the other from then on, and not in a
 * daemon's first seconds, in which requests come again that may be the cause, so that the next end tells them apart. One that
 * ends well is none any more.
 *
 * The file ends with the connection. Where it cannot be written, nothing is remembered, and nobody fails for it.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../blocks/clock.ts';
import { pause } from './pause.ts';

/** One end may be anybody's. */
const MAX_ENDS = 3;
/** What the kernel sends again is answered, or ends this daemon too, within this. */
const FIRST_SECONDS_MS = 2000;

export interface BackgroundSuspectsOptions {
  /** The process before ended by itself and said nothing: what ran in it counts. */
  readonly lastDiedSilently: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class BackgroundSuspects {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #beganMs: number;
  /** By root. */
  readonly #ends: Map<string, number>;
  readonly #running = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();

  /** `path` is the file, which an earlier process may have left. Watches until `close`. */
  constructor(path: string, { lastDiedSilently, clock, logger }: BackgroundSuspectsOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#beganMs = clock.nowMs();
    this.#ends = load(path, lastDiedSilently);
    this.#attempt(() => {
      const lines = [...this.#ends].flatMap(([root, count]) => Array.from({ length: count }, () => `ended ${root}\n`));
      writeFileSync(path, lines.join(''), { mode: 0o600 });
    });
    process.on('uncaughtExceptionMonitor', this.#onException);
  }

  /**
   * `work` in the background for `root`, at once or, of a suspect, when its turn comes.
   * @throws INTERNAL where too many daemons ended of it, ABORTED, what `work` throws
   */
  async guard<T>(root: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const ends = this.#ends.get(root) ?? 0;
    if (ends === 0) return this.#run(root, work);
    if (ends >= MAX_ENDS) throw this.#refusal(root, ends);
    const result = this.#turn.then(async () => {
      const leftMs = this.#beganMs + FIRST_SECONDS_MS - this.#clock.nowMs();
      if (leftMs > 0) await pause(this.#clock, leftMs, signal);
      signal.throwIfAborted();
      return await this.#run(root, work);
    });
    this.#turn = result.catch(() => undefined);
    return await result;
  }

  close(): void {
    process.off('uncaughtExceptionMonitor', this.#onException);
  }

  async #run<T>(root: string, work: () => Promise<T>): Promise<T> {
    const count = this.#running.get(root) ?? 0;
    this.#running.set(root, count + 1);
    if (count === 0) this.#note('begun', root);
    let well = false;
    try {
      const result = await work();
      well = true;
      return result;
    } finally {
      const left = (this.#running.get(root) ?? 1) - 1;
      if (left > 0) this.#running.set(root, left);
      else {
        this.#running.delete(root);
        if (well) this.#ends.delete(root);
        this.#note(well ? 'well' : 'left', root);
      }
    }
  }

  #refusal(root: string, ends: number): CodedError {
    const text = `${ends} daemons ended while this volume was fetched in the background: it is left alone until ipfs-volume is started anew`;
    this.#logger.error({ root, ends }, 'a volume that daemons crash of is not fetched in the background any more');
    return new CodedError('INTERNAL', text);
  }

  readonly #onException = (): void => {
    for (const root of this.#running.keys()) this.#note('ended', root);
  };

  #note(what: 'begun' | 'well' | 'left' | 'ended', root: string): void {
    this.#attempt(() => appendFileSync(this.#path, `${what} ${root}\n`, { mode: 0o600 }));
  }

  #attempt(write: () => void): void {
    try {
      write();
    } catch {
      // As above.
    }
  }
}

/** How often each root's work was under way when a process ended by itself; with `runningCounts`, the latest end was one. */
function load(path: string, runningCounts: boolean): Map<string, number> {
  const ends = new Map<string, number>();
  const running = new Set<string>();
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    // Nobody ran before.
  }
  const count = (root: string) => ends.set(root, (ends.get(root) ?? 0) + 1);
  for (const [, what, root = ''] of text.matchAll(/^(begun|well|left|ended) (\S+)\n/gm)) {
    if (what === 'begun') running.add(root);
    else running.delete(root);
    if (what === 'well') ends.delete(root);
    if (what === 'ended') count(root);
  }
  if (runningCounts) for (const root of running) count(root);
  return ends;
}
