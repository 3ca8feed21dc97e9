/**
 * Changes of the state: made in memory, then written, one after the other; and which calls made them, so that a call that
 * is relayed to two daemons has its effect once, and one whose caller has gone can be taken back by either.
 */
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

/** More than can be on their way twice while one daemon follows another. */
const CALLS_KEPT = 256;
/** How soon what could not be written is tried again. */
const SAVE_AGAIN_MS = 5000;
/** Behind the name of a call that was taken back. */
const UNDONE = ' undone';

export class StateChanges {
  readonly #write: (calls: readonly string[]) => Promise<void>;
  readonly #logger: Logger;
  /** The latest last. */
  #calls: readonly string[];
  #turn: Promise<unknown> = Promise.resolve();
  #again: NodeJS.Timeout | undefined;

  /** `write` writes the whole state with those calls, of which an earlier process kept `calls`. */
  constructor(calls: readonly string[], write: (calls: readonly string[]) => Promise<void>, logger: Logger) {
    this.#calls = calls;
    this.#write = write;
    this.#logger = logger;
  }

  /** `work` as soon as no other is under way. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  hadEffect(call: string | undefined): boolean {
    return call !== undefined && this.#calls.includes(call);
  }

  wasUndone(call: string | undefined): boolean {
    return call !== undefined && this.#calls.includes(call + UNDONE);
  }

  /** To be written with the effect. */
  noteEffect(call: string | undefined): void {
    if (call !== undefined) this.#calls = [...this.#calls, call].slice(-CALLS_KEPT);
  }

  /** From now on the call has no effect, whether it had one or not. */
  noteUndone(call: string | undefined): void {
    if (call !== undefined)
      this.#calls = [...this.#calls.filter((each) => each !== call), call + UNDONE].slice(-CALLS_KEPT);
  }

  /** @throws as `StateFile.save` */
  async save(): Promise<void> {
    clearTimeout(this.#again);
    try {
      await this.#write(this.#calls);
    } catch (error) {
      // What could not wait for the disk, and where that was only late, what it wrote of a change that was taken back.
      this.#again = setTimeout(() => void this.inTurn(() => this.save().catch(() => undefined)), SAVE_AGAIN_MS).unref();
      throw error;
    }
  }

  /** `save`; where that fails, the change is taken back, and `call` had no effect. @throws likewise */
  async saveOr(takeBack: () => void, call?: string): Promise<void> {
    try {
      await this.save();
    } catch (error) {
      takeBack();
      this.#calls = this.#calls.filter((each) => each !== call);
      throw error;
    }
  }

  /** `save`, for what has its effect whatever the disk says. */
  async saveOrLater(): Promise<void> {
    try {
      await this.save();
    } catch (error) {
      this.#logger.warn({ error: messageChain(error) }, 'the state cannot be saved now, and will be later');
    }
  }
}
