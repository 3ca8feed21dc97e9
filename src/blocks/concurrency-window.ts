/**
 * How many requests at once fill the path to one source, and no more: the number at which more no longer brings more.
 *
 * Below it the link idles; above it requests only stand in a queue on the way, in front of whoever wants something next.
 * A reader behind a background fill feels exactly that queue, so the number must be the knee itself. By Little's law
 * (in flight = throughput × delay) a throughput that stays while requests are added is a delay that rises: comparing
 * throughputs sees both, and needs no guess about which delay is the path's own.
 *
 * It climbs: doubles while that pays, then tries less until that costs, and stays there; from time to time it tries a
 * little more, since links and neighbours change. Only epochs in which the window was what held back are judged, each
 * after the requests of the former window are through. In the very first ones, answers that come ever later end the
 * doubling at once: at 25 Mbit/s sixteen blocks of 1 MiB are five seconds of queue.
 */

/** Enough for 16 × 256 KiB = 4 MiB in the first round trip; performance of a fixed 10 (Kubo's readers) is the floor to beat. */
const START_WINDOW = 16;
/** One to be answered, one on its way. */
const MIN_WINDOW = 2;
/** 256 blocks of 256 KiB are 64 MiB a round trip: 5 Gbit/s at 100 ms. */
const MAX_WINDOW = 256;

/** An epoch is judged on at least this many answers: fewer are noise. */
const MIN_EPOCH_ANSWERS = 8;
/** Epochs at rest before trying more. */
const REST_EPOCHS = 32;
/** What an epoch counts towards that while readers wait beside the fill, who would feel the try: a queue of one more. */
const SHARED_EPOCH = 1 / 16;
/** Less throughput than this share of the former says that a smaller window is too small. */
const KEEPS_THROUGHPUT = 0.95;
/** At rest, a change of throughput beyond this is another link: search again. */
const OTHER_LINK = 0.75;

/** What the window learns from each answer. */
export interface WindowSample {
  readonly nowMs: number;
  readonly bytes: number;
  readonly delayMs: number;
  /** Requests in flight when it came, itself included. */
  readonly inFlight: number;
  /** The window was full, that is: it is what held back. */
  readonly saturated: boolean;
  /** A reader waited for it. */
  readonly forReader: boolean;
}

type Phase = 'double' | 'more' | 'less' | 'rest';

export class ConcurrencyWindow {
  #window = START_WINDOW;
  #phase: Phase = 'double';
  /** What the present window is compared with; undefined until an epoch was measured. */
  #base: { window: number; bytesPerMs: number; meanBytes: number } | undefined;
  #growth = 2;
  #restEpochs = 0;
  #settling = 0;
  #shrunkInEpoch = false;
  // The epoch under way.
  #answers = 0;
  #saturated = 0;
  #bytes = 0;
  #startedAtMs: number | undefined;
  #firstAnswerMs: number | undefined;
  #shared = false;
  #leastDelayMs = Number.POSITIVE_INFINITY;

  /** Requests that may be in flight together, whoever asks. */
  get size(): number {
    return this.#window;
  }

  /** The same for what nobody waits for yet: half, until the path is known. */
  get spareSize(): number {
    return this.#phase === 'double' ? Math.max(MIN_WINDOW, Math.floor(this.#window / 2)) : this.#window;
  }

  answered({ nowMs, bytes, delayMs, inFlight, saturated, forReader }: WindowSample): void {
    if (this.#settling > 0) {
      if (--this.#settling === 0) this.#startEpoch(nowMs);
      return;
    }
    this.#startedAtMs ??= nowMs - delayMs;
    this.#firstAnswerMs ??= nowMs;
    this.#answers++;
    if (forReader) this.#shared = true;
    this.#bytes += bytes;
    if (saturated) this.#saturated++;
    this.#leastDelayMs = Math.min(this.#leastDelayMs, delayMs);
    if (this.#queueBuildsUp(nowMs, delayMs)) return;
    if (this.#answers >= this.#epochAnswers) this.#judge(nowMs, inFlight);
  }

  /** A request failed: fewer at once, but once only for all that fail together, and climbing again from there. */
  failed(): void {
    if (this.#shrunkInEpoch) return;
    this.#set(Math.floor(this.#window * 0.7), 'more');
    this.#base = undefined;
    this.#growth = 1.5;
    this.#shrunkInEpoch = true;
  }

  /** One round trip's worth while doubling, which is in haste and judges large differences; twice that afterwards. */
  get #epochAnswers(): number {
    const answers = Math.max(MIN_EPOCH_ANSWERS, this.#window);
    return this.#phase === 'double' ? answers : 2 * answers;
  }

  /** While doubling: the fourth answer already took twice the first one's time, so the rest stands in a queue. */
  #queueBuildsUp(nowMs: number, delayMs: number): boolean {
    if (this.#phase !== 'double' || this.#answers < 4 || delayMs < 2 * this.#leastDelayMs) return false;
    const perMs = (this.#answers - 1) / Math.max(nowMs - (this.#firstAnswerMs ?? nowMs), 0.001);
    const knee = Math.ceil(perMs * this.#leastDelayMs * 1.25);
    if (knee >= this.#window) return false;
    this.#base = undefined;
    this.#set(knee, 'less');
    return true;
  }

  #judge(nowMs: number, inFlight: number): void {
    const elapsedMs = Math.max(nowMs - (this.#startedAtMs ?? nowMs), 0.001);
    const bytesPerMs = this.#bytes / elapsedMs;
    const meanBytes = this.#bytes / this.#answers;
    // Not held back by the window, or driven past it by readers: the epoch says nothing about the window.
    const valid = this.#saturated >= 0.8 * this.#answers && inFlight <= 1.5 * this.#window + 2;
    const rested = this.#shared ? SHARED_EPOCH : 1;
    this.#startEpoch(nowMs);
    if (!valid) return;
    const former = this.#base;
    const sample = { window: this.#window, bytesPerMs, meanBytes };
    // Other blocks than before (a directory's after a file's) cannot be compared.
    const comparable = former && meanBytes < 1.25 * former.meanBytes && meanBytes > 0.8 * former.meanBytes;
    if (former && !comparable && this.#phase === 'less') {
      this.#base = undefined;
      this.#set(former.window, 'rest');
    } else if (former === undefined || !comparable) {
      this.#base = sample;
      this.#step();
    } else if (this.#phase === 'double' || this.#phase === 'more') {
      const expected = 1 + 0.5 * (this.#window / former.window - 1);
      if (bytesPerMs >= former.bytesPerMs * expected) {
        this.#base = sample;
        this.#growth = Math.min(2, this.#growth * this.#growth);
        this.#step();
      } else {
        this.#base = { ...former, bytesPerMs: Math.max(former.bytesPerMs, bytesPerMs) };
        this.#set(Math.ceil((former.window * bytesPerMs) / former.bytesPerMs), 'less', former.window);
        this.#step();
      }
    } else if (this.#phase === 'less') {
      if (bytesPerMs >= KEEPS_THROUGHPUT * former.bytesPerMs) {
        // The best throughput of the descent stays the measure, or it would be given away five per cent at a time.
        this.#base = { ...sample, bytesPerMs: Math.max(bytesPerMs, former.bytesPerMs) };
        this.#step();
      } else {
        const knee = Math.ceil((this.#window * former.bytesPerMs) / bytesPerMs - 0.1);
        this.#base = undefined;
        this.#set(knee, 'rest', former.window);
      }
    } else {
      const change = bytesPerMs / former.bytesPerMs;
      this.#restEpochs += rested;
      if (change < OTHER_LINK || change > 1 / OTHER_LINK) {
        // The change came in the middle of this epoch: the next one is the first to be measured by.
        this.#base = undefined;
        this.#growth = 1.5;
        this.#phase = 'more';
      } else if (this.#restEpochs >= REST_EPOCHS) {
        this.#base = sample;
        this.#restEpochs = 0;
        this.#growth = 1.1;
        this.#phase = 'more';
        this.#step();
      }
    }
  }

  /** Moves on in the direction of the phase, from a window just measured. */
  #step(): void {
    const at = this.#window;
    if (this.#phase === 'double') this.#set(at * 2, 'double');
    else if (this.#phase === 'more') this.#set(Math.max(at + 1, Math.floor(at * this.#growth)), 'more');
    else if (this.#phase === 'less') this.#set(Math.min(at - 1, Math.round(at * 0.85)), 'less');
    // Nowhere further to go: rest, and look again later.
    if (this.#phase !== 'rest' && this.#window === at) this.#phase = this.#phase === 'less' ? 'rest' : 'less';
  }

  #set(window: number, phase: Phase, most = MAX_WINDOW): void {
    const former = this.#window;
    this.#window = Math.max(MIN_WINDOW, Math.min(window, most, MAX_WINDOW));
    this.#phase = phase;
    this.#restEpochs = 0;
    if (this.#window !== former) this.#settling = Math.max(former, this.#window);
    this.#startEpoch(undefined);
  }

  #startEpoch(nowMs: number | undefined): void {
    this.#startedAtMs = nowMs;
    this.#answers = this.#saturated = this.#bytes = 0;
    this.#leastDelayMs = Number.POSITIVE_INFINITY;
    this.#shrunkInEpoch = false;
    this.#firstAnswerMs = undefined;
    this.#shared = false;
  }
}
