/**
 * What keeps daemons from coming up and is no fault of theirs, so that it is waited for, however long it lasts:
 *
 *   silence   a disk does not answer, and must not be touched
 *   refusal   the state directory answers and cannot be used: it fails, is read-only, gone, full, damaged, or of a newer program
 *
 * A refusal is waited for only where a daemon has served before. Then containers have mounts that would be lost for good with
 * the FUSE connection, while the next daemon, once somebody has mended what is wrong, serves them on. Before that it is a start
 * that fails, as with a setting that cannot be read, and the supervisor's limit ends it.
 */
import type { Logger } from '../../src/base/log.ts';
import type { DaemonDeath } from './daemon-process.ts';

export class Hindrance {
  /** For people; undefined where every disk answers, as far as is known. */
  silence: string | undefined;
  readonly #logger: Logger;
  #refusal: string | undefined;
  #served = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** For people: why there is no daemon; undefined where that is not known. */
  get text(): string | undefined {
    return this.silence ?? this.#refusal;
  }

  /** True where the latest daemon was refused, which has been said. */
  get isRefusal(): boolean {
    return this.#refusal !== undefined;
  }

  /** A daemon serves. */
  ended(): void {
    if (this.#refusal !== undefined) this.#logger.info({ error: this.#refusal }, 'the state can be used again');
    this.silence = undefined;
    this.#refusal = undefined;
    this.#served = true;
  }

  /** True where it is the reason of a death, and to be waited for. Says each once. */
  explains({ heldUpBy, refused }: DaemonDeath): boolean {
    this.silence = heldUpBy && `the disk of the state directory ${heldUpBy} does not answer`;
    if (heldUpBy)
      this.#logger.error({ directory: heldUpBy }, 'the disk of the state directory does not answer: waiting for it');
    if (refused !== undefined && refused !== this.#refusal)
      this.#logger.error({ error: refused }, 'the state cannot be used, and no daemon serves until it can');
    this.#refusal = refused;
    return heldUpBy !== undefined || (refused !== undefined && this.#served);
  }
}
