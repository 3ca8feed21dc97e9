/**
 * The state directory as the supervisor has it: its lock, taken as soon as its disk answers, and whether the next daemon could
 * use it. Nothing in it is read here: this process must be able to end, whatever the disk does.
 *
 * While no daemon can use it the lock is let go of: a file system that is held open can be neither unmounted nor checked, and
 * whoever mends it must not have to end us, and every container's mount, for that.
 */
import { statSync } from 'node:fs';
import { die } from '../../src/base/die.ts';
import { diskTakes, untilDiskAnswers } from '../../src/base/disk-answers.ts';
import { lockStateDirectory, type StateLock } from '../../src/base/state-lock.ts';
import { silenceOf } from './daemon-process.ts';
import { useDirectory } from './usable-directory.ts';
import { within } from './within.ts';

/** How long it has been silent is said to who calls, as of so long ago. */
const SILENCE_SAID_MS = 1000;
/** Of the five seconds of an end most are over by then. */
const ENDS_WITHIN_MS = 300;
/** A disk that has not answered by then is not a daemon's to open. */
const USABLE_WITHIN_MS = 3000;

export class StateDisk {
  /** Resolves once it is locked. @throws as `lockStateDirectory` */
  readonly locked: Promise<void>;
  onSilence: (said: string) => void = () => {};
  readonly #directory: string;
  #lock: StateLock | undefined;
  #inode: number | undefined;
  #using: Promise<unknown> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.locked = this.#open();
  }

  async #open(): Promise<void> {
    const directory = this.#directory;
    const onSilence = (silentMs: number) => this.onSilence(silenceOf(directory, silentMs));
    await untilDiskAnswers(diskTakes(directory), SILENCE_SAID_MS, onSilence);
    this.#lock = lockStateDirectory(directory);
    this.#inode = statSync(directory).ino;
  }

  /** @throws why another daemon could not use it now: it fails, is read-only, gone, or silent */
  async use(): Promise<void> {
    // One at a time: of a disk that hangs each keeps a thread.
    this.#using ??= useDirectory(this.#directory, this.#inode).finally(() => {
      this.#using = undefined;
    });
    if (!(await within(USABLE_WITHIN_MS, this.#using))) throw new Error(silenceOf(this.#directory, USABLE_WITHIN_MS));
  }

  /** Closes what is open of it. */
  letGo(): void {
    this.#lock?.release();
    this.#lock = undefined;
  }

  /** Has it locked, again where it was let go of. @throws why it cannot be */
  async hold(): Promise<void> {
    if (this.#lock) return;
    await this.use();
    this.#lock = lockStateDirectory(this.#directory);
  }

  /**
   * To be the last that is done: where its disk hangs, as is known or found here, nothing may touch it, also not to close what is
   * open on it, and the process does not end otherwise.
   */
  async release(hangs: boolean): Promise<void> {
    if (hangs || !(await within(ENDS_WITHIN_MS, diskTakes(this.#directory)))) die();
    this.#lock?.release();
  }
}
