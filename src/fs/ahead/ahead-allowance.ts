/**
 * Bounds what is brought ahead of a volume's readers on a guess: so much to begin with, and then some for each byte that
 * they read. A program that reads what was guessed pays for more guesses; one that looks into a thousand directories and
 * reads a file of each has little fetched for nothing.
 */
import type { CID } from 'multiformats/cid';
import type { BlockReader, WantOptions } from '../../blocks/block-reader.ts';

/** Some three seconds of 100 Mbit/s: a start, of which nothing is known yet, is worth as much. And the most that is saved up. */
const SAVED_BYTES = 32 * 1024 * 1024;
/** Of what lies beside what a program reads, a quarter or more is nearly always read as well. */
const BY_BYTE_READ = 4;

export class AheadAllowance {
  #bytes = SAVED_BYTES;

  /** A reader was given so much. */
  read(sizeBytes: number): void {
    this.#bytes = Math.min(SAVED_BYTES, this.#bytes + sizeBytes * BY_BYTE_READ);
  }

  /** Whether so much more, as it is claimed, may be asked for. */
  covers(claimedBytes: number): boolean {
    return claimedBytes <= this.#bytes;
  }

  /** Charges what is asked for. */
  take(claimedBytes: number): void {
    this.#bytes -= claimedBytes;
  }

  /** Brings a block that claims `sizeBytes`, charged and settled. Never rejects: whoever reads the block will be told. */
  async bring(blocks: BlockReader, cid: CID, sizeBytes: number, want: WantOptions): Promise<void> {
    this.take(sizeBytes);
    let cameBytes = 0;
    try {
      cameBytes = (await blocks.get(cid, { ...want, expectedBytes: sizeBytes })).length;
    } catch {
      // See above.
    } finally {
      this.settle(sizeBytes, cameBytes);
    }
  }

  /** Of what was taken for `claimedBytes` so many came: who claims too little has no more brought than anybody. */
  settle(claimedBytes: number, cameBytes: number): void {
    this.#bytes = Math.min(SAVED_BYTES, this.#bytes + claimedBytes - cameBytes);
  }
}
