/**
 * What a volume is told of the look-ups and listings of its readers: that one waits, and for what, and that one failed. What is
 * answered in the same turn is nobody's news.
 */
import type { MaybePromise } from '../base/maybe-promise.ts';
import type { OnFailedRequest } from './failure-log.ts';
import type { MountedVolume } from './mounted-volume.ts';

export class RequestNotes {
  readonly #onFailed: OnFailedRequest;
  readonly #now: () => number;

  constructor(onFailed: OnFailedRequest, now: () => number) {
    this.#onFailed = onFailed;
    this.#now = now;
  }

  /** Runs `work`, telling `volume` of what fails now or later, and showing `what` as waited for meanwhile. */
  noting<T>(volume: MountedVolume, what: () => string, work: () => MaybePromise<T>): MaybePromise<T> {
    try {
      const result = work();
      return result instanceof Promise ? this.#waited(volume, what(), result) : result;
    } catch (error) {
      this.#onFailed(volume, what, error);
      throw error;
    }
  }

  async #waited<T>(volume: MountedVolume, what: string, work: Promise<T>): Promise<T> {
    const wait = { what, sinceMs: this.#now() };
    volume.waits.add(wait);
    try {
      const value = await work;
      volume.failing = false;
      return value;
    } catch (error) {
      this.#onFailed(volume, () => what, error);
      throw error;
    } finally {
      volume.waits.delete(wait);
    }
  }
}
