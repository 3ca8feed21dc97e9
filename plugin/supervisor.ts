/**
 * The supervisor: what stays when a daemon dies.
 *
 * It holds the two things whose loss a container or Docker would notice: the FUSE connection (an open /dev/fuse, which
 * every daemon inherits) and the public socket (whose calls it relays). It knows neither volumes nor blocks, so there is
 * little in it that could fail; everything that can, runs in the daemon, its only lasting child.
 *
 *   SIGTERM, SIGINT   the daemon is told to end, the mount is detached, all within STOP_LIMIT_MS
 *   SIGHUP            the daemon alone is replaced: an upgrade that no container notices
 *   the daemon dies   its last words are logged, and the next one takes the connection over
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../src/base/log.ts';
import { DaemonProcess } from './daemon-process.ts';
import { MAX_FRUITLESS_STARTS, RestartPolicy } from './restart-policy.ts';

/** The engine follows SIGTERM with SIGKILL after 10 s; we promise half of that. */
const STOP_LIMIT_MS = 5000;
/** Of which the daemon may take this much to answer what is in flight and write its state. */
const DAEMON_STOP_LIMIT_MS = 3500;

export interface SupervisedConnection {
  /** An open /dev/fuse, bound to the mount; undefined where the daemon mounts by itself. */
  readonly descriptor: number | undefined;
  /** Names it, unlike every connection before: mount counts and node numbers belong to one connection. */
  readonly id: string;
  /** Detaches the mount and closes the descriptor. */
  detach(): Promise<void>;
}

export interface SupervisorOptions {
  /** The program and its arguments that start a daemon. */
  readonly daemonCommand: readonly string[];
  /** A directory of our own, 0700, short enough for a socket's path (107 bytes). */
  readonly runDirectory: string;
  readonly connection: SupervisedConnection;
  readonly logger: Logger;
}

/** Why a supervisor ended: it was told to, or its daemons would not stay up. */
export type SupervisorEnd = 'stopped' | 'gave-up';

export class Supervisor {
  readonly ended: Promise<SupervisorEnd>;
  readonly #options: SupervisorOptions;
  readonly #policy = new RestartPolicy();
  readonly #end: (why: SupervisorEnd) => void;
  #current: DaemonProcess | undefined;
  #readySocket: string | undefined;
  #waiters: Array<(socketPath: string) => void> = [];
  #generation = 0;
  #stopping = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SupervisorEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Starts the first daemon. */
  start(): void {
    this.#launch();
  }

  /** Kills the daemon alone; the next one takes over. */
  replace(): void {
    this.#options.logger.info({ pid: this.#current?.pid }, 'replacing the daemon');
    this.#current?.noteAnswered(); // Asked for, so it is no failure.
    this.#current?.kill('SIGKILL');
  }

  /** Ends the daemon and detaches the mount, within STOP_LIMIT_MS whatever is in flight. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    const daemon = this.#current;
    if (daemon) {
      daemon.kill('SIGTERM');
      const killTimer = setTimeout(() => daemon.kill('SIGKILL'), DAEMON_STOP_LIMIT_MS);
      await daemon.died;
      clearTimeout(killTimer);
    }
    await this.#detach();
    this.#end('stopped');
  }

  /** For the relay: the socket of the daemon that listens, now or as soon as one other than `deadSocket` does. */
  nextDaemon(signal: AbortSignal, deadSocket?: string): Promise<string> {
    // A socket that fails before its process is reaped belongs to a daemon that is as good as dead.
    if (this.#readySocket !== undefined && this.#readySocket !== deadSocket) return Promise.resolve(this.#readySocket);
    return new Promise((resolve, reject) => {
      const serve = (socketPath: string): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(socketPath);
      };
      const giveUp = (): void => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== serve);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiters.push(serve);
    });
  }

  /** For the relay: the daemon on `socketPath` answered a call. */
  answered(socketPath: string): void {
    if (this.#current?.socketPath === socketPath) this.#current.noteAnswered();
  }

  #launch(): void {
    const { daemonCommand, connection, runDirectory, logger } = this.#options;
    this.#generation++;
    const daemon = new DaemonProcess(
      daemonCommand,
      connection.descriptor,
      {
        IPFS_VOLUME_DAEMON_SOCKET: join(runDirectory, `daemon-${this.#generation}.sock`),
        IPFS_VOLUME_CONNECTION: connection.id,
        IPFS_VOLUME_CONNECTION_FILE: join(runDirectory, 'negotiated.json'),
        IPFS_VOLUME_TAKE_OVER: this.#generation > 1 ? '1' : '0',
        IPFS_VOLUME_RESTARTS: String(this.#generation - 1),
      },
      logger,
    );
    this.#current = daemon;
    logger.info({ pid: daemon.pid, generation: this.#generation }, 'daemon started');
    void daemon.ready.then(() => {
      if (this.#current !== daemon) return;
      this.#readySocket = daemon.socketPath;
      for (const serve of this.#waiters.splice(0)) serve(daemon.socketPath);
    });
    void daemon.died.then((death) => this.#afterDeath(daemon, death));
  }

  async #afterDeath(daemon: DaemonProcess, death: Awaited<DaemonProcess['died']>): Promise<void> {
    const { logger } = this.#options;
    this.#readySocket = undefined;
    this.#current = undefined;
    await rm(daemon.socketPath, { force: true });
    if (this.#stopping) return;
    logger.error({ pid: daemon.pid, how: death.how, lastWords: death.lastWords }, 'the daemon died');
    const pauseMs = this.#policy.afterDeath(death.answered);
    if (pauseMs === undefined) {
      logger.error(
        { starts: MAX_FRUITLESS_STARTS, lastWords: death.lastWords },
        `giving up: ${MAX_FRUITLESS_STARTS} daemons in a row died before they answered a request (${death.how})`,
      );
      this.#stopping = true;
      await this.#detach();
      this.#end('gave-up');
      return;
    }
    setTimeout(() => {
      if (!this.#stopping) this.#launch();
    }, pauseMs);
  }

  /** Bounded: a mount that will not go is left to the next start, which detaches stale ones. */
  async #detach(): Promise<void> {
    const limit = setTimeout(() => this.#end('stopped'), STOP_LIMIT_MS - DAEMON_STOP_LIMIT_MS);
    await this.#options.connection.detach().catch((error: unknown) => {
      this.#options.logger.warn({ error: String(error) }, 'the mount could not be detached');
    });
    clearTimeout(limit);
  }
}
