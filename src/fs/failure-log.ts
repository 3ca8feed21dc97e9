/**
 * What the log says of readers that got an error instead of content: what they asked for, and why they did not get it. The
 * reader itself has an errno, which names no block and no source.
 *
 * An outage fails reads by the thousand, so of each volume one line is written in half a minute, with how many there were.
 */
import { codeOf, messageChain } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { SAY_AGAIN_MS } from '../base/said-lately.ts';
import type { MountedVolume } from './mounted-volume.ts';

interface Failure {
  readonly what: string;
  readonly error: unknown;
}

type Later = (delayMs: number, run: () => void) => void;

/** Tells `volume` of a failure, and the log. `what` was asked for, as `Wait` has it. */
export type OnFailedRequest = (volume: MountedVolume, what: () => string, error: unknown) => void;

export class FailureLog {
  readonly #logger: Logger | undefined;
  readonly #nameOf: (directory: string) => string;
  readonly #later: Later;
  /** By volume: what failed since its last line, as long as no other line may follow. */
  readonly #quiet = new Map<string, { failures: number; latest: Failure | undefined }>();

  /** `nameOf`: what people call the volume whose directory is called so. `later` must not keep the process. */
  constructor(
    logger: Logger | undefined,
    nameOf = (directory: string) => directory,
    later: Later = (delayMs, run) => setTimeout(run, delayMs).unref(),
  ) {
    this.#logger = logger;
    this.#nameOf = nameOf;
    this.#later = later;
  }

  readonly report: OnFailedRequest = (volume, what, error) => {
    if (!volume.note(error) || !this.#logger) return;
    const name = this.#nameOf(volume.spec.name);
    const failure = { what: what(), error };
    const quiet = this.#quiet.get(name);
    if (quiet) {
      quiet.failures++;
      quiet.latest = failure;
    } else this.#say(name, failure, 1);
  };

  #say(volume: string, { what, error }: Failure, failures: number): void {
    const fields = { volume, what, code: codeOf(error), error: messageChain(error), failures };
    this.#logger?.warn(fields, 'a reader got an error instead of content');
    this.#quiet.set(volume, { failures: 0, latest: undefined });
    this.#later(SAY_AGAIN_MS, () => {
      const quiet = this.#quiet.get(volume);
      this.#quiet.delete(volume);
      if (quiet?.latest) this.#say(volume, quiet.latest, quiet.failures);
    });
  }
}
