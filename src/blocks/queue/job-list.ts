/**
 * A first-in-first-out list whose members can leave from the middle, all in constant time.
 *
 * A background fill queues a hundred thousand wants, a reader lifts one out of the middle: an array would copy, and a
 * `Set` walks over what was deleted from its front each time it is asked for its first.
 */

/** What can stand in a list; in one at a time. The links are the list's own. */
export class Job {
  list: JobList<Job> | null = null;
  previous: Job | null = null;
  next: Job | null = null;

  /** Leaves the list it stands in, if any. */
  leave(): void {
    this.list?.remove(this);
  }
}

/** A job that can wait at a lane; 0 is demand. */
export interface LaneJob extends Job {
  readonly rank: number;
  /** What it will bring, where that is known. */
  readonly expectedBytes: number | undefined;
}

export class JobList<T extends Job> {
  #first: T | null = null;
  #last: T | null = null;
  #size = 0;

  get first(): T | null {
    return this.#first;
  }

  get size(): number {
    return this.#size;
  }

  holds(job: Job): boolean {
    return job.list === (this as unknown as JobList<Job>);
  }

  /** Adds at the end; `job` stands in no list. */
  push(job: T): void {
    job.list = this as unknown as JobList<Job>;
    job.previous = this.#last;
    if (this.#last) this.#last.next = job;
    else this.#first = job;
    this.#last = job;
    this.#size++;
  }

  /** Takes out a job that stands in this list. */
  remove(job: T): void {
    if (job.previous) job.previous.next = job.next;
    else this.#first = job.next as T | null;
    if (job.next) job.next.previous = job.previous;
    else this.#last = job.previous as T | null;
    job.list = job.previous = job.next = null;
    this.#size--;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let job = this.#first; job; job = job.next as T | null) yield job;
  }
}
