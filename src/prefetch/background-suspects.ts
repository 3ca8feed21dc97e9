/**
 * Which volumes were being fetched in the background when daemons ended by themselves, and how often. A block whose decoding
 * ends the process (out of memory, an abort in native code) would be met again by each daemon that follows, for ever, with
 * nobody having asked for it; so a volume of which three daemons ended is left alone. A request that is such a poison is
 * another's to find (`suspect-requests.ts`).
 *
 * What runs stands in a small file beside the connection's other state before it begins, since most such ends leave no time
 * for a word. Who ran beside the cause is suspected with it; suspects run one after the other from then on, and not in a
 * daemon's first seconds, in which requests come again that may be the cause, so that the next end tells them apart. One that
 * brought all there was to bring is none any more.
 *
 * The file ends with the connection. Where it cannot be written, nothing is remembered, and nobody fails for it.
 */
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Clock } from '../blocks/clock.ts';
import { pause, untilAborted } from './pause.ts';

/** One end may be anybody's. */
const MAX_ENDS = 3;
/** Of a suspect's turn: what takes longer goes on beside the next one, which may be no cause and has readers who wait for it. */
const TURN_MS = 5 * 60_000;
/** Written anew when it has grown to this. */
const MAX_FILE_BYTES = 64 * 1024;
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
  /** By what was done. */
  readonly #ends: Map<string, number>;
  readonly #running = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();
  #fileBytes = 0;

  /** `path` is the file, which an earlier process may have left. Watches until `close`. */
  constructor(path: string, { lastDiedSilently, clock, logger }: BackgroundSuspectsOptions) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#beganMs = clock.nowMs();
    this.#ends = load(path, lastDiedSilently);
    this.#attempt(() => this.#writeAnew());
    process.on('uncaughtExceptionMonitor', this.#onException);
  }

  /**
   * `work` in the background under the name `what` (a root, and what is done with it), at once or, of a suspect, when its
   * turn comes. It ended well where `isWell` says so of its result.
   * @throws INTERNAL where too many daemons ended of it, ABORTED, what `work` throws
   */
  async guard<T>(
    what: string,
    signal: AbortSignal,
    work: () => Promise<T>,
    isWell: (result: T) => boolean,
  ): Promise<T> {
    const ends = this.#ends.get(what) ?? 0;
    if (ends === 0) return this.#run(what, work, isWell);
    if (ends >= MAX_ENDS) throw this.#refusal(what, ends);
    const before = this.#turn;
    const { promise: over, resolve: giveTurn } = Promise.withResolvers<void>();
    this.#turn = before.then(() => over);
    let stopTimer = () => {};
    try {
      await untilAborted(before, signal);
      const leftMs = this.#beganMs + FIRST_SECONDS_MS - this.#clock.nowMs();
      if (leftMs > 0) await pause(this.#clock, leftMs, signal);
      stopTimer = this.#clock.schedule(TURN_MS, giveTurn);
      return await this.#run(what, work, isWell);
    } finally {
      stopTimer();
      giveTurn();
    }
  }

  close(): void {
    process.off('uncaughtExceptionMonitor', this.#onException);
  }

  async #run<T>(root: string, work: () => Promise<T>, isWell: (result: T) => boolean): Promise<T> {
    const count = this.#running.get(root) ?? 0;
    this.#running.set(root, count + 1);
    if (count === 0) this.#note('begun', root);
    let well = false;
    try {
      const result = await work();
      well = isWell(result);
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
    const line = `${what} ${root}\n`;
    this.#attempt(() => {
      appendFileSync(this.#path, line, { mode: 0o600 });
      this.#fileBytes += line.length;
      if (this.#fileBytes > MAX_FILE_BYTES) this.#writeAnew();
    });
  }

  /** All that is to be remembered, and nothing of what is over. Whole at any moment: this process may end in the middle. */
  #writeAnew(): void {
    const ended = [...this.#ends].flatMap(([root, count]) => Array.from({ length: count }, () => `ended ${root}\n`));
    const text = [...ended, ...[...this.#running.keys()].map((root) => `begun ${root}\n`)].join('');
    writeFileSync(`${this.#path}.new`, text, { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    this.#fileBytes = text.length;
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
