/**
 * A source over blocks in memory that does as badly as a test tells it to, call by call, on a clock of the test's own.
 *
 * It counts what was asked, and notes what must never happen: the same block asked for twice at once.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../src/base/errors.ts';
import { type Block, blockKey, MAX_BLOCK_BYTES } from '../../src/blocks/block.ts';
import type { BlockSource, DagScope, FetchOptions, RangeSource } from '../../src/blocks/block-source.ts';
import type { Clock } from '../../src/blocks/clock.ts';
import type { Priority } from '../../src/blocks/priority.ts';

/**
 * - `block`: the block, or BLOCK_UNAVAILABLE where it is not among the blocks
 * - `absent`: BLOCK_UNAVAILABLE whatever it has
 * - `error`: SOURCE_FAILED
 * - `silent`: nothing, until the request is aborted
 * - `corrupt`: the block with one bit flipped; `truncated`: without its last byte; `oversized`: 2 MiB and a byte
 */
export type Answer = 'block' | 'absent' | 'error' | 'silent' | 'corrupt' | 'truncated' | 'oversized';

interface Behaviour {
  readonly answer: Answer;
  readonly delayMs: number;
}

/** What a call gets; `call` counts from 1 over the source's life. */
export type Script = (call: number, cid: CID) => Behaviour | Answer;

export interface Call {
  readonly cid: CID;
  readonly priority: Priority;
  readonly atMs: number;
}

export class FaultSource implements BlockSource {
  readonly name: string;
  /** May be replaced at any time; holds for calls from then on. */
  script: Script;
  readonly calls: Call[] = [];
  inFlight = 0;
  maxInFlight = 0;
  /** Blocks that were asked for while a request for them was under way. */
  duplicates = 0;
  closed = false;
  optional = false;
  /** Called as each request comes. */
  onCall: (call: Call) => void = () => {};
  readonly #blocks = new Map<string, Uint8Array>();
  readonly #pending = new Set<string>();
  readonly #clock: Clock;

  constructor(name: string, clock: Clock, blocks: Iterable<Block>, script: Script = () => 'block') {
    this.name = name;
    this.#clock = clock;
    this.script = script;
    for (const { cid, bytes } of blocks) this.#blocks.set(blockKey(cid), bytes);
  }

  async getBlock(cid: CID, { signal, priority }: FetchOptions): Promise<Uint8Array> {
    const key = blockKey(cid);
    const call = { cid, priority, atMs: this.#clock.nowMs() };
    this.calls.push(call);
    this.onCall(call);
    if (this.#pending.has(key)) this.duplicates++;
    this.#pending.add(key);
    this.maxInFlight = Math.max(this.maxInFlight, ++this.inFlight);
    try {
      const scripted = this.script(this.calls.length, cid);
      const { answer, delayMs } = typeof scripted === 'string' ? { answer: scripted, delayMs: 1 } : scripted;
      await this.#pass(answer === 'silent' ? undefined : delayMs, signal);
      return this.#answer(answer, cid);
    } finally {
      this.inFlight--;
      this.#pending.delete(key);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #answer(answer: Answer, cid: CID): Uint8Array {
    if (answer === 'error') throw new CodedError('SOURCE_FAILED', `${this.name}: connection refused`);
    if (answer === 'oversized') return new Uint8Array(MAX_BLOCK_BYTES + 1);
    const bytes = this.#blocks.get(blockKey(cid));
    if (bytes === undefined || answer === 'absent')
      throw new CodedError('BLOCK_UNAVAILABLE', `${this.name}: not found`);
    if (answer === 'truncated') return bytes.subarray(0, -1);
    if (answer === 'corrupt') return bytes.map((byte, at) => (at === 0 ? byte ^ 1 : byte));
    return bytes;
  }

  /** The delay, or for ever; rejects when `signal` aborts. */
  #pass(delayMs: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      let stop = () => {};
      const onAbort = () => {
        stop();
        reject(new CodedError('ABORTED', 'aborted'));
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      if (delayMs === undefined) return;
      stop = this.#clock.schedule(delayMs, () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
    });
  }
}

/** The same, and ranges: each range is answered with `range`, one block every `delayMs`. */
export class FaultRangeSource extends FaultSource implements RangeSource {
  range: readonly Block[] = [];
  ranges = 0;
  delayMs = 1;
  readonly #ownClock: Clock;

  constructor(name: string, clock: Clock, blocks: Iterable<Block>, script?: Script) {
    super(name, clock, blocks, script);
    this.#ownClock = clock;
  }

  async *getRange(_root: CID, _scope: DagScope, { signal }: FetchOptions): AsyncIterable<Block> {
    this.ranges++;
    for (const block of this.range) {
      await new Promise<void>((resolve) => this.#ownClock.schedule(this.delayMs, resolve));
      if (signal.aborted) throw new CodedError('ABORTED', 'aborted');
      yield block;
    }
  }
}
