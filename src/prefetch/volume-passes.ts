/**
 * Passes over one volume: each counts what is here of it and, where it is to, fetches the rest; and what is known since, of
 * what is here and of why the latest did not bring all. When one is due is another's to say (`volume-prefetch.ts`).
 *
 * Interrupted at any point the next one goes on where it was: what is here is passed over.
 */
import type { CID } from 'multiformats/cid';
import { messageChain } from '../base/errors.ts';
import type { BlockKey } from '../blocks/block.ts';
import type { BlockTally, Keeper } from '../blocks/block-tally.ts';
import { contentKey } from '../unixfs/content-key.ts';
import type { BackgroundSuspects } from './background-suspects.ts';
import { Completeness } from './completeness.ts';
import { type FillOptions, type FillParts, type FillResult, fill } from './fill.ts';
import type { Pins } from './pins.ts';
import { type BlockPlan, Plan } from './plan.ts';

export interface VolumePassesOptions {
  readonly root: CID;
  readonly tally: BlockTally;
  /** Blocks that the cache gave up so far, of whichever volume. */
  readonly evictions: () => number;
  /** Room for so many bytes more, for a volume that is wanted `whole` or else as far as others leave room? */
  readonly hasRoom: (bytes: number, whole: boolean) => boolean;
  /** What to say where a volume that is wanted whole, of so many bytes where that is known, has no room. */
  readonly noRoomText: (bytesTotal: number | null) => string;
  /** For so long the background leaves the link and the processor to a start that is under way. */
  readonly holdMs: () => number;
  /** Where it is pinned: told of each block that is here, and once all is. */
  readonly pins: Pins | undefined;
  /** Where ends of the process are remembered. */
  readonly suspects: BackgroundSuspects | undefined;
}

/** What a pass is to do. */
export interface PassOptions {
  /** False: it counts what is here, and that is all. */
  readonly fetch: boolean;
  /** All is wanted, and not as far as others leave room. */
  readonly whole: boolean;
  /** What has no room for all ends it as soon as the size is known. */
  readonly orNothing?: boolean;
}

/** What became of one. */
export interface PassResult extends FillResult {
  /** All is here: nothing is missing, and nothing went while the rest came. */
  readonly isHere: boolean;
}

export class VolumePasses {
  readonly #parts: FillParts;
  readonly #options: VolumePassesOptions;
  readonly #here: Completeness;
  #lastError: string | null = null;
  #lastErrorMs = 0;
  #isFull = false;

  constructor(parts: FillParts, options: VolumePassesOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#here = new Completeness(options.tally, options.evictions);
  }

  /** Null until every directory is known. */
  get bytesTotal(): number | null {
    return this.#here.bytesTotal;
  }

  /** What is not here of that; infinite until it is known. */
  get bytesMissing(): number {
    return Math.max(0, (this.bytesTotal ?? Number.POSITIVE_INFINITY) - this.#options.tally.bytesHere);
  }

  get complete(): boolean {
    return this.#here.complete;
  }

  /** As `Completeness.isCounted`. */
  get isCounted(): boolean {
    return this.#here.isCounted;
  }

  /** The latest pass found or brought all, whatever went meanwhile. */
  get brought(): boolean {
    return this.#here.brought;
  }

  /** Something may have gone or come since the latest pass began, and only another one could tell. */
  get isUncertain(): boolean {
    return this.#here.isUncertain;
  }

  /** The latest pass ended for want of room. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Why the latest pass did not bring all; null where it did, or where none has ended. */
  get lastError(): string | null {
    return this.#lastError;
  }

  /** When that was, by the clock. */
  get lastErrorMs(): number {
    return this.#lastErrorMs;
  }

  /** One over all of the volume. @throws ABORTED */
  async pass(signal: AbortSignal, passOptions: PassOptions): Promise<PassResult> {
    const { fetch, whole, orNothing = false } = passOptions;
    const { tally, hasRoom, noRoomText } = this.#options;
    const pass = this.#here.begin(fetch);
    const onTotal = (bytes: number) => {
      this.#here.claimed(bytes);
      return !orNothing || hasRoom(bytes - tally.bytesHere, whole);
    };
    const options = { ...this.#background(signal, fetch, whole), tally: pass.tally, onTotal };
    const preferOthers = fetch && whole ? this.#parts.cache.preferNew() : undefined;
    const result = await this.#guarded('', signal, () => this.#fillAll(options)).finally(preferOthers);
    if (this.#here.isOvertaken(pass)) return this.pass(signal, passOptions);
    this.#here.end(pass, result);
    if (fetch || this.brought) this.#isFull = result.stopped === 'full';
    if (whole && result.stopped === 'full') this.failed(noRoomText(this.bytesTotal));
    else this.failed(result.lastError === undefined ? null : messageChain(result.lastError));
    const isHere = this.complete;
    if (isHere) await this.#options.pins?.complete(signal);
    return { ...result, isHere };
  }

  /** One by a plan of what a start needs: readers would fetch it by themselves a moment later, into what is left for them. @throws ABORTED */
  passOf(what: 'profile' | 'top', plan: BlockPlan, signal: AbortSignal): Promise<FillResult> {
    const { tally, hasRoom, pins } = this.#options;
    const options: FillOptions = {
      priority: 'profile',
      tally,
      signal,
      fetch: true,
      hasRoom: (bytes) => hasRoom(bytes, true),
      onHere: pins?.onHere,
    };
    return this.#guarded(`${what}/`, signal, () => fill(this.#parts, plan, options));
  }

  /** Counts what is here, of a volume that nobody uses: pins nothing, and leaves the thread to others for `rest`. @throws ABORTED */
  async count(signal: AbortSignal, rest: FillOptions['rest']): Promise<void> {
    const pass = this.#here.begin(false);
    const options = { ...this.#background(signal, false, false), tally: pass.tally, rest, onHere: undefined };
    // What is missing is not looked at, and is no reason to suspect the rest.
    this.#here.end(
      pass,
      await this.#guarded(
        'count/',
        signal,
        () => this.#fillAll(options),
        () => true,
      ),
    );
  }

  /** Blocks were evicted: counts anew what is left, in the local store or of others in the cache. @throws ABORTED */
  async recount(signal: AbortSignal): Promise<void> {
    this.#here.forget();
    await this.pass(signal, { fetch: false, whole: false });
  }

  /** As `Completeness.gone`. */
  gone(key: BlockKey, sizeBytes: number, kept: boolean, from?: Keeper): void {
    this.#here.gone(key, sizeBytes, kept, from);
  }

  /** As `Completeness.doubt`. */
  doubt(): void {
    this.#here.doubt();
  }

  /** For what ends passes; null takes it back. */
  failed(error: string | null): void {
    this.#lastError = error;
    this.#lastErrorMs = this.#parts.clock.nowMs();
  }

  #background(signal: AbortSignal, fetch: boolean, whole: boolean): FillOptions {
    const { tally, hasRoom, holdMs, pins } = this.#options;
    return {
      priority: 'background',
      tally,
      signal,
      fetch,
      hasRoom: (bytes) => hasRoom(bytes, whole),
      holdMs,
      onHere: pins?.onHere,
      onTotal: (bytes) => this.#here.claimed(bytes),
    };
  }

  /** By a plan of all, whose marks stand beside what its tally says is here. */
  async #fillAll(options: FillOptions): Promise<FillResult> {
    const { marks, giveBack } = options.tally.lendMarks();
    const plan = new Plan(contentKey(this.#options.root), marks);
    try {
      return await fill(this.#parts, plan, options);
    } finally {
      plan.end();
      giveBack();
    }
  }

  /** Nothing else says of a pass that no daemon will end of it than that it went through everything. */
  #guarded(
    what: string,
    signal: AbortSignal,
    work: () => Promise<FillResult>,
    isWell = ({ missing, stopped }: FillResult) => missing === 0 && !stopped,
  ): Promise<FillResult> {
    const { suspects, root } = this.#options;
    return suspects ? suspects.guard(`${what}${root}`, signal, work, isWell) : work();
  }
}
