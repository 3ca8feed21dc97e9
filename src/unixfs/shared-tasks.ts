/**
 * One run of a task for all who ask for it at the same time: the listing of a large directory is worked out once, not
 * once for each of its two hundred readers.
 *
 * Who leaves is let go at once; the task ends when the last one left.
 */
import { CodedError } from '../base/errors.ts';

interface SharedTask<V> {
  readonly result: Promise<V>;
  readonly abort: AbortController;
  waiting: number;
}

export class SharedTasks<K, V> {
  readonly #tasks = new Map<K, SharedTask<V>>();

  /** True where somebody waits for `key`. */
  has(key: K): boolean {
    return this.#tasks.has(key);
  }

  /** `start` runs where nobody waits for `key` yet. @throws ABORTED where `signal` was, and what the task throws. */
  run(key: K, signal: AbortSignal | undefined, start: (signal: AbortSignal) => Promise<V>): Promise<V> {
    const task = this.#tasks.get(key) ?? this.#start(key, start);
    task.waiting++;
    if (!signal) return task.result;
    return new Promise((resolve, reject) => {
      const leave = () => {
        reject(new CodedError('ABORTED', 'the caller left'));
        if (--task.waiting > 0) return;
        if (this.#tasks.get(key) === task) this.#tasks.delete(key);
        task.abort.abort();
      };
      if (signal.aborted) return leave();
      signal.addEventListener('abort', leave, { once: true });
      const done = () => signal.removeEventListener('abort', leave);
      task.result.then(resolve, reject).finally(done);
    });
  }

  #start(key: K, start: (signal: AbortSignal) => Promise<V>): SharedTask<V> {
    const abort = new AbortController();
    const result = start(abort.signal);
    const task: SharedTask<V> = { result, abort, waiting: 0 };
    this.#tasks.set(key, task);
    const end = () => {
      if (this.#tasks.get(key) === task) this.#tasks.delete(key);
    };
    result.then(end, end);
    return task;
  }
}
