/**
 * One daemon as its supervisor sees it: a child process with the FUSE connection inherited and an IPC channel.
 *
 * The messages are few. Up: `opening` (it is about to touch the state directory, or waits for its disk, which has not
 * answered so far), `refused` (what is there cannot be used, and why; it ends), `restoring` (it takes over what an earlier one
 * knew, and is not through), `opened`, `ready` (it listens on its own socket), `answered` (it answered a first FUSE request),
 * `lost` (the FUSE connection has ended, and no daemon can serve it any more), `draining` (see `replace`). Down: `ping`, answered
 * by `pong`: a daemon that does not answer is stuck, and is killed, since being there is not being alive; `replace`, upon
 * which it finishes what it has begun, and ends.
 *
 * The process ends by SIGKILL in the end, always: a thread that is blocked reading /dev/fuse keeps a process from exiting.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Logger } from '../../src/base/log.ts';
import type { LogOutput } from '../../src/base/log-output.ts';
import { passOnLines } from './daemon-words.ts';
import { oomKills } from './oom-kills.ts';

/** What the daemon reads to find its connection. The descriptor's number is fixed by the position in stdio. */
export const FUSE_DESCRIPTOR = 3;

export interface DaemonEnvironment {
  /** The unix socket on which the daemon is to listen. */
  readonly IPFS_VOLUME_DAEMON_SOCKET: string;
  /** Where what must outlive it is kept: see `connectionFiles`. */
  readonly IPFS_VOLUME_CONNECTION_DIRECTORY: string;
  /** Names the FUSE connection: mount counts and node numbers belong to it. */
  readonly IPFS_VOLUME_CONNECTION: string;
  /** `1` where the connection was served before: no INIT will come, unanswered requests are to be asked for again. */
  readonly IPFS_VOLUME_TAKE_OVER: '0' | '1';
  /** How many daemons the supervisor had before this one. */
  readonly IPFS_VOLUME_RESTARTS: string;
  /** `silent` where the daemon before ended by itself and could not say of what; see `DaemonDeath.silent`. */
  readonly IPFS_VOLUME_LAST_DEATH: 'silent' | 'other';
}

export type MessageUp =
  | { readonly type: 'restoring' | 'ready' | 'answered' | 'lost' | 'draining' | 'pong' | 'opened' }
  | { readonly type: 'refused'; readonly why: string }
  | { readonly type: 'opening'; readonly directory: string; readonly silentMs: number };
export type MessageDown = { readonly type: 'ping' | 'replace' };

const PING_INTERVAL_MS = 5000;
/** A turn of the event loop takes milliseconds; four pings unanswered are no garbage collection. */
const MAX_UNANSWERED_PINGS = 4;
/** On its way up a daemon may load a large state, in one turn; of nodes, millions of which take long, it says how it goes on. */
const START_LIMIT_MS = 120_000;
/** What ends a process that is aborted (out of its heap, a failed assertion) or crashes in native code; nobody else sends these. */
const CRASHES: ReadonlySet<string> = new Set(['SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGSYS']);

/** How much of what the daemon wrote to stderr is kept for the log when it dies. */
const LAST_WORDS_BYTES = 4096;
/** After its end, whatever else may hold its stderr open. */
const LAST_WORDS_LIMIT_MS = 200;

export interface DaemonDeath {
  /** `SIGKILL`, `exit code 1`: for people. */
  readonly how: string;
  /** The end of what it wrote to stderr. */
  readonly lastWords: string;
  /** True where it had answered a request, of the kernel, on the socket, or a ping. */
  readonly answered: boolean;
  /** True where it found that the FUSE connection has ended. */
  readonly lost: boolean;
  /**
   * True where it ended by itself, of something that it did, and had no chance to write down what: a crash, a hang that it
   * was killed for, the machine's memory at an end. False for an exception, which it writes down, and for whoever kills it.
   */
  readonly silent: boolean;
  /** The state directory, where that held it up until it was killed for it: the next one will meet the same disk. */
  readonly heldUpBy: string | undefined;
  /** Why it could not use what the state directory holds, where that ended it: neither can the next one, until it is mended. */
  readonly refused: string | undefined;
}

/** Where what daemons write goes, besides the log: their stdout, which is their log, and their stderr. */
export interface DaemonOutputs {
  readonly log: LogOutput;
  readonly errors: Pick<LogOutput, 'write'>;
}

export interface Patience {
  readonly pingIntervalMs?: number;
  readonly startLimitMs?: number;
}

export class DaemonProcess {
  readonly socketPath: string;
  readonly died: Promise<DaemonDeath>;
  /** Resolves once the daemon listens; never where it dies before. */
  readonly ready: Promise<void>;
  /** Aborts when it is killed because it does not move: nothing more is to be asked of it, however long its end takes. */
  readonly stuck: AbortSignal;
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  #answered = false;
  #isReady = false;
  #lost = false;
  #unansweredPings = 0;
  readonly #stuck = new AbortController();
  #lastWords = '';
  #opening: { readonly directory: string; readonly silentMs: number } | undefined;
  #refused: string | undefined;
  #onDraining: (() => void) | undefined;

  /**
   * Starts `command` (the program and its arguments) with `fuseDescriptor` as its descriptor 3.
   * @throws where the machine has not enough for another process
   */
  constructor(
    command: readonly string[],
    fuseDescriptor: number | undefined,
    environment: DaemonEnvironment,
    logger: Logger,
    outputs: DaemonOutputs,
    { pingIntervalMs = PING_INTERVAL_MS, startLimitMs = START_LIMIT_MS }: Patience = {},
  ) {
    this.socketPath = environment.IPFS_VOLUME_DAEMON_SOCKET;
    this.#logger = logger;
    const [program = process.execPath, ...args] = command;
    this.#child = spawn(program, args, {
      stdio: ['ignore', outputs.log.isPipe ? 'inherit' : 'pipe', 'pipe', fuseDescriptor ?? 'ignore', 'ipc'],
      env: { ...process.env, ...environment },
    });
    if (this.#child.stdout) passOnLines(this.#child.stdout, outputs.log);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      outputs.errors.write(text);
      this.#lastWords = (this.#lastWords + text).slice(-LAST_WORDS_BYTES);
    });
    const { promise: ready, resolve: becomeReady } = Promise.withResolvers<void>();
    this.ready = ready;
    this.stuck = this.#stuck.signal;
    const startTimer = setTimeout(() => this.#killStuck(`is not ready after ${startLimitMs / 1000} s`), startLimitMs);
    const heartbeat = setInterval(() => this.#ping(pingIntervalMs), pingIntervalMs);
    this.#child.on('message', (message: MessageUp) => {
      const { type } = message;
      this.#unansweredPings = 0;
      if (type === 'opening') this.#noteOpening(message, () => startTimer.refresh());
      else if (type === 'refused') this.#refused = message.why;
      else if (type === 'restoring') {
        this.#opening = undefined;
        startTimer.refresh();
      } else if (type === 'opened') this.#opening = undefined;
      else if (type === 'lost') this.#lost = true;
      else if (type === 'draining') this.#onDraining?.();
      else if (type === 'ready') {
        this.#isReady = true;
        clearTimeout(startTimer);
        becomeReady();
      } else this.#answered = true;
    });
    const oomKillsBefore = oomKills();
    this.died = new Promise((resolve) => {
      const end = (how: string): void => {
        clearInterval(heartbeat);
        clearTimeout(startTimer);
        const silent = this.stuck.aborted || CRASHES.has(how) || (how === 'SIGKILL' && oomKills() > oomKillsBefore);
        const heldUpBy = this.stuck.aborted ? this.#opening?.directory : undefined;
        resolve({
          how,
          lastWords: this.#lastWords.trim(),
          answered: this.#answered,
          lost: this.#lost,
          silent,
          heldUpBy,
          refused: this.#refused,
        });
      };
      this.#child.on('error', (error) => {
        // Also said of a signal that could not be sent to one that runs.
        if (this.#child.pid === undefined) end(`it could not be started: ${error.message}`);
      });
      const exited = (code: number | null, signal: NodeJS.Signals | null): void => end(signal ?? `exit code ${code}`);
      this.#child.once('exit', (code, signal) => setTimeout(exited, LAST_WORDS_LIMIT_MS, code, signal).unref());
      this.#child.once('close', exited);
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Told by the relay: a call on the socket was answered. */
  noteAnswered(): void {
    this.#answered = true;
  }

  /** What it waits for on its way up, for people; undefined where that takes no longer than usual. */
  get waitsFor(): string | undefined {
    if (this.stuck.aborted) return 'a daemon that was killed has not ended: a disk that it waits for hangs';
    if (!this.#opening || this.#opening.silentMs === 0) return undefined;
    return silenceOf(this.#opening.directory, this.#opening.silentMs);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /**
   * Asks it to finish what it has begun, and to end. `poke` is called when it wants one more FUSE request, whichever, so
   * that the thread that waits for one can end too.
   */
  replace(poke: () => void): void {
    this.#onDraining = poke;
    this.#send({ type: 'replace' });
  }

  /** One that says so again lives: only the disk is to be waited for. */
  #noteOpening({ directory, silentMs }: MessageUp & { readonly type: 'opening' }, onLife: () => void): void {
    const said = this.waitsFor !== undefined;
    this.#opening = { directory, silentMs };
    onLife();
    if (said || silentMs === 0) return;
    this.#logger.error({ pid: this.pid }, `${silenceOf(directory, silentMs)}: waiting for it`);
  }

  #ping(intervalMs: number): void {
    if (!this.#isReady) return;
    if (this.#unansweredPings >= MAX_UNANSWERED_PINGS) {
      this.#killStuck(`has not moved for ${(MAX_UNANSWERED_PINGS * intervalMs) / 1000} s`);
      return;
    }
    this.#unansweredPings++;
    this.#send({ type: 'ping' });
  }

  #send(message: MessageDown): void {
    // One that has just died is told nothing.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #killStuck(how: string): void {
    // Not even SIGKILL ends one that waits for a disk in the kernel.
    if (this.stuck.aborted) return;
    this.#logger.error({ pid: this.pid }, `the daemon ${how}: killing it`);
    this.#stuck.abort();
    this.kill('SIGKILL');
  }
}

/** For people. */
export function silenceOf(directory: string, silentMs: number): string {
  return `the disk of the state directory ${directory} has not answered for ${Math.round(silentMs / 1000)} s`;
}
