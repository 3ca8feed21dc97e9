/**
 * One daemon as its supervisor sees it: a child process with the FUSE connection inherited and an IPC channel.
 *
 * The messages are few. Up: `ready` (it listens on its own socket), `answered` (it answered a first FUSE request). Down:
 * `ping`, answered by `pong`. A daemon that does not answer pings is stuck, and is killed: being there is not being alive.
 *
 * The process ends by SIGKILL in the end, always: a thread that is blocked reading /dev/fuse keeps a process from exiting.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Logger } from '../src/base/log.ts';

/** What the daemon reads to find its connection. The descriptor's number is fixed by the position in stdio. */
export const FUSE_DESCRIPTOR = 3;

export interface DaemonEnvironment {
  /** The unix socket on which the daemon is to listen. */
  readonly IPFS_VOLUME_DAEMON_SOCKET: string;
  /** Where what was negotiated on the connection is kept. */
  readonly IPFS_VOLUME_CONNECTION_FILE: string;
  /** Names the FUSE connection: mount counts and node numbers belong to it. */
  readonly IPFS_VOLUME_CONNECTION: string;
  /** `1` where the connection was served before: no INIT will come, unanswered requests are to be asked for again. */
  readonly IPFS_VOLUME_TAKE_OVER: '0' | '1';
  /** How many daemons the supervisor had before this one. */
  readonly IPFS_VOLUME_RESTARTS: string;
}

export type MessageUp = { readonly type: 'ready' | 'answered' | 'pong' };
export type MessageDown = { readonly type: 'ping' };

const PING_INTERVAL_MS = 5000;
/** A turn of the event loop takes milliseconds; four pings unanswered are no garbage collection. */
const MAX_UNANSWERED_PINGS = 4;
/** How much of what the daemon wrote to stderr is kept for the log when it dies. */
const LAST_WORDS_BYTES = 4096;

export interface DaemonDeath {
  /** `SIGKILL`, `exit code 1`: for people. */
  readonly how: string;
  /** The end of what it wrote to stderr. */
  readonly lastWords: string;
  /** True where it had answered a request, of the kernel or on the socket. */
  readonly answered: boolean;
}

export class DaemonProcess {
  readonly socketPath: string;
  readonly died: Promise<DaemonDeath>;
  /** Resolves once the daemon listens; never where it dies before. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  #answered = false;
  #unansweredPings = 0;
  #lastWords = '';

  /** Starts `command` (the program and its arguments) with `fuseDescriptor` as its descriptor 3. */
  constructor(
    command: readonly string[],
    fuseDescriptor: number | undefined,
    environment: DaemonEnvironment,
    logger: Logger,
  ) {
    this.socketPath = environment.IPFS_VOLUME_DAEMON_SOCKET;
    this.#logger = logger;
    const [program = process.execPath, ...args] = command;
    this.#child = spawn(program, args, {
      stdio: ['ignore', 'inherit', 'pipe', fuseDescriptor ?? 'ignore', 'ipc'],
      env: { ...process.env, ...environment },
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      process.stderr.write(chunk);
      this.#lastWords = (this.#lastWords + chunk.toString()).slice(-LAST_WORDS_BYTES);
    });
    const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();
    this.ready = ready;
    this.#child.on('message', (message: MessageUp) => {
      if (message.type === 'ready') becomeReady();
      else if (message.type === 'answered') this.#answered = true;
      else this.#unansweredPings = 0;
    });
    const heartbeat = setInterval(() => this.#ping(), PING_INTERVAL_MS);
    this.died = new Promise((resolve) => {
      const end = (how: string): void => {
        clearInterval(heartbeat);
        resolve({ how, lastWords: this.#lastWords.trim(), answered: this.#answered });
      };
      this.#child.once('error', (error) => end(`it could not be started: ${error.message}`));
      this.#child.once('close', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Told by the relay: a call on the socket was answered. */
  noteAnswered(): void {
    this.#answered = true;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Pings belong to a daemon that is ready: one on its way up may load a large state. */
  #ping(): void {
    if (!existsSync(this.socketPath) || !this.#child.connected) return;
    if (this.#unansweredPings >= MAX_UNANSWERED_PINGS) {
      this.#logger.error({ pid: this.pid }, 'the daemon has not moved for 20 s: killing it');
      this.kill('SIGKILL');
      return;
    }
    this.#unansweredPings++;
    this.#child.send({ type: 'ping' } satisfies MessageDown, () => undefined);
  }
}
