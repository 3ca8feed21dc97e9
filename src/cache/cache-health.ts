/**
 * What is wrong with the cache's disk, as far as it is known: said once, remembered until it works again.
 *
 *   refusal   it takes nothing: what waits is dropped, and it is tried again after a while
 *   aside     it held up everybody: it is not read either until it works again
 *   spoilt    a read found the index damaged: the next turn begins an empty cache
 */
import { messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { SaidLately } from '../base/said-lately.ts';

/** After the disk refused a write. */
export const RETRY_DELAY_MS = 30_000;

export class CacheHealth {
  readonly #directory: string;
  readonly #logger: Logger;
  #refusal: string | undefined;
  #aside = false;
  readonly #saidLately = new SaidLately();
  /** Set by a read that found the index damaged, in the middle of which nothing can be done about it. */
  spoilt: unknown;

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  /** Why the disk takes nothing at present; undefined where it does, as far as it was tried. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  get isFailing(): boolean {
    return this.#refusal !== undefined;
  }

  get isAside(): boolean {
    return this.#aside;
  }

  refuse(error: unknown, message: string): void {
    if (!this.isFailing) this.say(error, message);
    this.#refusal = messageChain(error);
  }

  setAside(error: Error): void {
    this.#aside = true;
    this.refuse(error, 'the disk cache is too slow: going on without it, and trying again every 30 s');
  }

  worksAgain(): void {
    if (this.isFailing) this.#logger.info({ directory: this.#directory }, 'the disk cache works again');
    this.#refusal = undefined;
    this.#aside = false;
  }

  /** True where it is time to look after it. */
  readFailed(error: unknown): boolean {
    if (this.isFailing || !this.#saidLately.say(performance.now())) return false;
    this.say(error, 'the disk cache cannot be read: what is not read is fetched');
    return true;
  }

  say(error: unknown, message: string): void {
    this.#logger.error({ directory: this.#directory, error: messageChain(error) }, message);
  }
}
