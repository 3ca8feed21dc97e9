/**
 * The signals of `serve`, from its first moment on. One that ends a start in the middle must leave nothing behind either, so it
 * is kept until there is a supervisor to obey it; until then whoever starts looks after each step whether it came.
 */
import { setTimeout as after } from 'node:timers/promises';
import { die } from '../../src/base/die.ts';
import { messageChain } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';

/** Whatever hangs: the promise is five seconds from the signal to the end. */
const STOP_LIMIT_MS = 4800;

/** Who is asked for one replacement after the other has each daemon serve for so long: readers go on in between. */
const SERVES_MS = 1000;

interface Obedient {
  stop(): Promise<void>;
  /** Resolves once the next daemon serves. */
  replace(): Promise<void>;
}

export class Signals {
  readonly #logger: Logger;
  readonly #checkState: () => Promise<void>;
  #supervisor: Obedient | undefined;
  #stopping = false;
  /** A replacement is under way; another one was asked for meanwhile, however often. */
  #replacing = false;
  #again = false;

  /** Listens from now on. `checkState` throws why another daemon could not use the state directory. */
  constructor(checkState: () => Promise<void>, logger: Logger) {
    this.#checkState = checkState;
    this.#logger = logger;
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
      process.on(signal, () => {
        logger.info({ signal }, 'stopping');
        setTimeout(die, STOP_LIMIT_MS).unref();
        this.#stopping = true;
        this.#stop();
      });
    }
    process.on('SIGHUP', () => void this.#replaceInTurn());
  }

  /** One of those that end us has come. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** What comes, and what has come, is `supervisor`'s. */
  hand(supervisor: Obedient): void {
    this.#supervisor = supervisor;
    if (this.#stopping) this.#stop();
  }

  #stop(): void {
    this.#supervisor
      ?.stop()
      .catch((error: unknown) => this.#logger.error({ error: messageChain(error) }, 'stopping failed'));
  }

  async #replaceInTurn(): Promise<void> {
    this.#again = true;
    if (this.#replacing) return;
    this.#replacing = true;
    while (this.#again && !this.#stopping) {
      this.#again = false;
      await this.#replace();
      if (this.#again) await after(SERVES_MS, undefined, { ref: false });
    }
    this.#replacing = false;
  }

  /** A daemon that serves from memory what it has is better than one that cannot come up. */
  async #replace(): Promise<void> {
    if (!this.#supervisor) return;
    try {
      await this.#checkState();
    } catch (error) {
      const fields = { error: messageChain(error) };
      this.#logger.error(fields, 'the daemon is not replaced: another one could not use the state directory');
      return;
    }
    // It is stopping where there is no next one.
    await this.#supervisor.replace().catch(() => undefined);
  }
}
