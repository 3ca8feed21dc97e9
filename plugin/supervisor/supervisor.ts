/**
 * The supervisor: what stays when a daemon dies.
 *
 * It holds the two things whose loss a container or Docker would notice: the FUSE connection (an open /dev/fuse, which
 * every daemon inherits) and the public socket (whose calls it relays). It knows neither volumes nor blocks, so there is
 * little in it that could fail; everything that can, runs in the daemon, its only lasting child.
 *
 *   SIGTERM, SIGINT   the daemon is told to end, the mount is detached, all within bounds
 *   SIGHUP            the daemon alone is replaced: an upgrade that no container notices
 *   the daemon dies   its last words are logged, and the next one takes the connection over
 *   the disk of the state directory does not answer: no daemon can come up; calls wait, and are told, until it does
 *   what is there cannot be used, once daemons have served: likewise, since containers have mounts that would be lost for good
 *   the mount is gone (somebody unmounted it): no daemon can serve it, so the supervisor ends, to be started anew
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, messageChain } from '../../src/base/errors.ts';
import { type DaemonDeath, DaemonProcess } from './daemon-process.ts';
import { Hindrance } from './hindrance.ts';
import type { RelayTarget } from './relay-target.ts';
import { RestartPolicy } from './restart-policy.ts';
import { SocketWaiters } from './socket-waiters.ts';
import type { SupervisorEnd, SupervisorOptions } from './supervisor-options.ts';
import { within } from './within.ts';

/** Of the five seconds within which we promise to end, what the daemon may take to answer what is in flight. */
const DAEMON_STOP_LIMIT_MS = 3000;
/** What the kernel may take to end it after that: one that waits for a disk there cannot be waited for. */
const DAEMON_KILL_LIMIT_MS = 300;
/** And what umount(8) may take. A mount that will not go is left to the next start, which detaches stale ones. */
const DETACH_LIMIT_MS = 1000;
/**
 * How long a daemon that is to be replaced may take for what it has begun. Where the kernel cannot send requests again,
 * what is unanswered then is EIO to its reader, and new requests wait this long at the most.
 */
const REPLACE_LIMIT_MS = 10_000;

/** Of a daemon that never was. */
const NOTHING = {
  lastWords: '',
  answered: false,
  lost: false,
  silent: false,
  heldUpBy: undefined,
  refused: undefined,
} as const;
/** Threads of a process that is killed are gone by then, but for those that a disk keeps in the kernel. */
const KILLED_WITHIN_MS = 500;
const NOT_ENDED = 'a daemon that was killed has not ended: a disk that it waits for hangs';

export class Supervisor implements RelayTarget {
  readonly ended: Promise<SupervisorEnd>;
  readonly #options: SupervisorOptions;
  readonly #policy: RestartPolicy;
  readonly #end: (why: SupervisorEnd) => void;
  readonly #waiters = new SocketWaiters();
  #current: DaemonProcess | undefined;
  /** The one that was asked to end for another to take its place. */
  #leaving: DaemonProcess | undefined;
  #readySocket: string | undefined;
  #generation = 0;
  /** The daemon before. */
  #diedSilently = false;
  readonly #hindrance: Hindrance;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#policy = options.policy ?? new RestartPolicy();
    this.#hindrance = new Hindrance(options.logger);
    const { promise, resolve } = Promise.withResolvers<SupervisorEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Starts the first daemon, once `when` has resolved; where it rejects, it ends. */
  start(when?: Promise<unknown>): void {
    if (!when) this.#launch();
    else
      when.then(
        () => this.#launch(),
        (error: unknown) => void this.#giveUp(`giving up: ${messageChain(error)}`, ''),
      );
  }

  get waitsFor(): string | undefined {
    return this.#current?.waitsFor ?? this.#hindrance.text;
  }

  /** For people: a disk that does not answer, and must not be touched. */
  get silence(): string | undefined {
    return this.#current?.waitsFor ?? this.#hindrance.silence;
  }

  /** While there is no daemon: until one is ready, or something else is waited for; after the end, what hangs. */
  set silence(what: string | undefined) {
    this.#hindrance.silence = what;
  }

  /**
   * Has the daemon alone end, once it has finished what it has begun; the next one takes over. Resolves once that serves.
   * @throws DAEMON_UNREACHABLE where there will be none
   */
  async replace(): Promise<void> {
    this.#beginReplacing();
    await this.nextDaemon(new AbortController().signal);
  }

  #beginReplacing(): void {
    const daemon = this.#current;
    if (!daemon || daemon === this.#leaving || this.#stopping) return;
    this.#options.logger.info({ pid: daemon.pid }, 'replacing the daemon');
    this.#leaving = daemon;
    this.#readySocket = undefined; // Calls wait for the next one.
    daemon.replace(() => this.#options.connection.poke());
    const limit = setTimeout(() => daemon.kill('SIGKILL'), REPLACE_LIMIT_MS);
    void daemon.died.then(() => clearTimeout(limit));
  }

  /** Ends the daemon and detaches the mount, within bounds whatever is in flight. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#hindrance.silence = this.silence;
    this.#finish();
    const daemon = this.#current;
    if (daemon) {
      daemon.kill('SIGTERM');
      const killTimer = setTimeout(() => daemon.kill('SIGKILL'), DAEMON_STOP_LIMIT_MS);
      const ended = await within(DAEMON_STOP_LIMIT_MS + DAEMON_KILL_LIMIT_MS, daemon.died);
      clearTimeout(killTimer);
      if (!ended) this.silence = NOT_ENDED;
    }
    await this.#detach();
    this.#end('stopped');
  }

  nextDaemon(signal: AbortSignal, deadSocket?: string): Promise<string> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#stopping) return Promise.reject(stopped());
    // A socket that fails before its process is reaped belongs to a daemon that is as good as dead.
    if (this.#readySocket !== undefined && this.#readySocket !== deadSocket) return Promise.resolve(this.#readySocket);
    return this.#waiters.wait(signal);
  }

  answered(socketPath: string): void {
    if (this.#current?.socketPath === socketPath) this.#current.noteAnswered();
  }

  stuck(socketPath: string): AbortSignal | undefined {
    return this.#current?.socketPath === socketPath ? this.#current.stuck : undefined;
  }

  #launch(): void {
    if (this.#stopping) return;
    const { daemonCommand, connection, runDirectory, logger, outputs, patience } = this.#options;
    this.#generation++;
    const socketPath = join(runDirectory, `daemon-${this.#generation}.sock`);
    let daemon: DaemonProcess;
    try {
      daemon = new DaemonProcess(
        daemonCommand,
        connection.descriptor,
        {
          IPFS_VOLUME_DAEMON_SOCKET: socketPath,
          IPFS_VOLUME_CONNECTION: connection.id,
          IPFS_VOLUME_CONNECTION_DIRECTORY: runDirectory,
          IPFS_VOLUME_TAKE_OVER: this.#generation > 1 ? '1' : '0',
          IPFS_VOLUME_RESTARTS: String(this.#generation - 1),
          IPFS_VOLUME_LAST_DEATH: this.#diedSilently ? 'silent' : 'other',
        },
        logger,
        outputs,
        patience,
      );
    } catch (error) {
      const how = `it could not be started: ${messageChain(error)}`;
      this.#afterDeath(undefined, { ...NOTHING, how });
      return;
    }
    this.#current = daemon;
    this.#note({ pid: daemon.pid, generation: this.#generation }, 'daemon started');
    void daemon.ready.then(() => {
      if (this.#current !== daemon || this.#leaving === daemon) return;
      this.#readySocket = daemon.socketPath;
      this.#hindrance.ended();
      this.#waiters.serve(daemon.socketPath);
    });
    daemon.stuck.addEventListener('abort', () => {
      if (this.#current !== daemon) return;
      this.#readySocket = undefined;
      // It may be long before it ends, and it will answer nothing any more.
      setTimeout(() => this.#current === daemon && connection.giveBack(), KILLED_WITHIN_MS).unref();
    });
    void daemon.died.then((death) => {
      void rm(socketPath, { force: true }).catch(() => undefined);
      this.#afterDeath(daemon, death);
    });
  }

  #afterDeath(daemon: DaemonProcess | undefined, death: DaemonDeath): void {
    const { logger, connection } = this.#options;
    const { how, lastWords } = death;
    const asked = daemon !== undefined && daemon === this.#leaving;
    this.#readySocket = undefined;
    this.#current = undefined;
    this.#leaving = undefined;
    // One that was told to make room may be killed by anybody, and said all that it had to; one that never was says nothing.
    if (daemon && death.refused === undefined) this.#diedSilently = death.silent && !asked;
    if (this.#stopping) return;
    if (!death.lost) connection.giveBack();
    if (asked) logger.info({ pid: daemon.pid }, 'the daemon has made room for another');
    else if (death.refused === undefined) logger.error({ pid: daemon?.pid, how, lastWords }, 'the daemon died');
    if (death.lost) {
      void this.#giveUp('giving up: the mount is gone, and no daemon can serve it any more', lastWords);
      return;
    }
    const pauseMs = this.#hindrance.explains(death)
      ? this.#policy.afterHindrance()
      : this.#policy.afterDeath(death.answered || asked);
    if (pauseMs === undefined) {
      const { maxFruitlessStarts } = this.#policy;
      const why = `${maxFruitlessStarts} daemons in a row died before they answered a request (${death.refused ?? how})`;
      void this.#giveUp(`giving up: ${why}`, lastWords);
      return;
    }
    if (pauseMs > 0) this.#note({ pauseMs }, 'waiting before the next daemon');
    if (this.#hindrance.isRefusal) this.#options.state?.letGo();
    setTimeout(() => void this.#launchAgain(), pauseMs);
  }

  async #launchAgain(): Promise<void> {
    try {
      await this.#options.state?.hold();
    } catch (error) {
      this.#afterDeath(undefined, { ...NOTHING, how: 'it was not started', refused: messageChain(error) });
      return;
    }
    this.#launch();
  }

  /** What is tried again every ten seconds, perhaps for days, is not to fill the log. */
  #note(fields: object, message: string): void {
    this.#options.logger[this.#hindrance.isRefusal ? 'debug' : 'info'](fields, message);
  }

  async #giveUp(why: string, lastWords: string): Promise<void> {
    this.#options.logger.error({ lastWords }, why);
    this.#finish();
    await this.#detach();
    this.#end('gave-up');
  }

  /** No daemon comes any more: who waits for one is told. */
  #finish(): void {
    this.#stopping = true;
    this.#readySocket = undefined;
    this.#waiters.fail(stopped());
  }

  async #detach(): Promise<void> {
    const detached = this.#options.connection.detach().catch((error: unknown) => {
      this.#options.logger.warn({ error: messageChain(error) }, 'the mount could not be detached');
    });
    await within(DETACH_LIMIT_MS, detached);
  }
}

function stopped(): CodedError {
  return new CodedError('DAEMON_UNREACHABLE', 'ipfs-volume is stopping');
}
