/**
 * Watches one start of a volume: what its readers need, in what order, how soon the first byte came, and when it is over.
 *
 * The start begins with the first block that a reader needs (a container may be made long before it runs) and is over
 * after `bootMs`, or when nothing was needed for `quietMs`, or with the unmount, whichever is first. One answer then, and
 * nothing is recorded any more.
 */
import type { OnBlock } from '../blocks/block-reader.ts';
import type { Clock } from '../blocks/clock.ts';
import type { BootProfile } from './boot-profile.ts';
import { BootRecorder, isNeeded } from './boot-recorder.ts';

/** What a start was like; ready for its one line in the log. */
export interface BootSummary {
  /** From the mount to the first byte that a reader got; null where none did. */
  readonly firstByteMs: number | null;
  readonly bytesDemanded: number;
  /** Fetched before anybody asked, by profile and in the background. */
  readonly bytesPrefetched: number;
  /** Of the blocks demanded those that the profile named, 0 to 1; null where there was none. */
  readonly profileHitShare: number | null;
  readonly endedBy: 'time' | 'quiet' | 'unmount';
}

export interface BootWatchOptions {
  /** The content root, as a CIDv1. */
  readonly root: string;
  readonly clock: Clock;
  readonly bootMs?: number | undefined;
  readonly quietMs?: number | undefined;
  /** When the first byte was read, by the same clock; undefined until then. */
  readonly firstReadMs: () => number | undefined;
  /** Bytes prefetched on the volume's account so far, and before anything was for this start. */
  readonly bytesPrefetched: () => number;
  readonly prefetchedBefore: number;
  /** Called once, with what was recorded; undefined where nothing was read. */
  readonly onEnd: (summary: BootSummary, run: BootProfile | undefined) => void;
}

/** "The first minutes" of a container: what loads in two minutes and is not asked for by then is not its start. */
const BOOT_MS = 120_000;
/** Servers that start read all the time; half a minute without one block is a server that waits for work. */
const QUIET_MS = 30_000;
/** Between two needs of a program that starts: it computes for a while, too. */
const HOLD_MS = 500;
/** A program that reads all the time has the background beside it from here on. */
const MAX_HOLD_MS = 30_000;
/** As has one that needed so much: an interpreter with its modules needs 20 to 30 MB, a copy of the volume all there is. */
const MAX_HOLD_BYTES = 64 * 1024 * 1024;

export class BootWatch {
  readonly #options: BootWatchOptions;
  readonly #recorder: BootRecorder;
  readonly #mountedMs: number;
  #neededMs = 0;
  #firstNeededMs = 0;
  #forget: Array<() => void> = [];
  #over = false;

  /** To be made at the mount. */
  constructor(options: BootWatchOptions) {
    this.#options = options;
    this.#recorder = new BootRecorder(options.root);
    this.#mountedMs = options.clock.nowMs();
  }

  /** To be told of every block on the volume's account. */
  readonly onBlock: OnBlock = (cid, sizeBytes, how) => {
    if (this.#over || !isNeeded(how)) return;
    const { clock, bootMs = BOOT_MS, quietMs = QUIET_MS } = this.#options;
    if (this.#forget.length === 0) {
      this.#firstNeededMs = clock.nowMs();
      this.#forget.push(clock.schedule(bootMs, () => this.#end('time')));
      this.#watchQuiet(quietMs);
    }
    this.#neededMs = clock.nowMs();
    this.#recorder.onBlock(cid, sizeBytes, how);
  };

  /** The profile that this mount uses, once it is found: what the hit share is measured against. */
  foretold(profile: BootProfile): void {
    this.#recorder.foretold(profile);
  }

  /**
   * For so long background work is best left alone: a start asks for thousands of small things one after the other, and
   * each of them would stand behind a burst of blocks that nobody needs now.
   */
  get holdMs(): number {
    if (this.#over || this.#forget.length === 0 || this.#recorder.bytesDemanded >= MAX_HOLD_BYTES) return 0;
    const untilMs = Math.min(this.#neededMs + HOLD_MS, this.#firstNeededMs + MAX_HOLD_MS);
    return Math.max(0, untilMs - this.#options.clock.nowMs());
  }

  /** The volume was unmounted. Idempotent. */
  end(): void {
    this.#end('unmount');
  }

  /** One timer, moved on by what was needed meanwhile. */
  #watchQuiet(delayMs: number): void {
    const { clock, quietMs = QUIET_MS } = this.#options;
    this.#forget[1] = clock.schedule(delayMs, () => {
      const leftMs = this.#neededMs + quietMs - clock.nowMs();
      if (leftMs > 0) this.#watchQuiet(leftMs);
      else this.#end('quiet');
    });
  }

  #end(endedBy: BootSummary['endedBy']): void {
    if (this.#over) return;
    this.#over = true;
    for (const forget of this.#forget) forget();
    const firstReadMs = this.#options.firstReadMs();
    this.#options.onEnd(
      {
        firstByteMs: firstReadMs === undefined ? null : Math.round(firstReadMs - this.#mountedMs),
        bytesDemanded: this.#recorder.bytesDemanded,
        bytesPrefetched: this.#options.bytesPrefetched() - this.#options.prefetchedBefore,
        profileHitShare: this.#recorder.hitShare,
        endedBy,
      },
      this.#recorder.profile(),
    );
  }
}
