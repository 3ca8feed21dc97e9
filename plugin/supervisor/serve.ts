/**
 * `ipfs-volume serve`: the plugin's process. It is the supervisor; the daemon is its child, started as the hidden command
 * `daemon` of the same program.
 */
import { randomUUID } from 'node:crypto';
import { closeSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { diskTakes, untilDiskAnswers } from '../../src/base/disk-answers.ts';
import { messageChain } from '../../src/base/errors.ts';
import { createLogger, type Logger } from '../../src/base/log.ts';
import { lockStateDirectory, type StateLock } from '../../src/base/state-lock.ts';
import { mountConnection } from '../../src/fuse/kernel/mount.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { Config } from '../config.ts';
import { configWarnings } from '../config-warnings.ts';
import { serveMetrics } from '../daemon/metrics-server.ts';
import { listenOnSocket } from '../daemon/server.ts';
import { VERSION } from '../version.ts';
import { silenceOf } from './daemon-process.ts';
import { prepareMountRoot } from './mount-root.ts';
import { lockMountRoot } from './mount-root-lock.ts';
import { relay } from './relay.ts';
import { makeRunDirectory, makeUnknownRunDirectory } from './run-directory.ts';
import { notifyReady } from './service-manager.ts';
import { type SupervisedConnection, Supervisor } from './supervisor.ts';
import { within } from './within.ts';

/** Calls under way when the supervisor ends get an answer, or an end, within this. */
const STOP_GRACE_MS = 300;
/** A state directory that has not answered by then is waited for later: the engine dials a starting plugin for 10 s. */
const STATE_WAIT_MS = 3000;
/** How long it has been silent is said to who calls, as of so long ago. */
const SILENCE_SAID_MS = 1000;
/** Whatever hangs: the promise is five seconds from the signal to the end. */
const STOP_LIMIT_MS = 4800;

/**
 * Serves until SIGTERM or SIGINT, or until its daemons will not stay up; resolves with the exit code.
 * @throws STATE_LOCKED, MOUNT_FAILED, CONFIG_INVALID where the metrics' address is taken, and what the machine refuses, before anything is left behind.
 */
export async function serve(config: Config, daemonCommand: readonly string[]): Promise<number> {
  const logger = createLogger(config.logLevel);
  // Daemons' last words go there, and are in the log as well: where they cannot be written, nothing else may end by it.
  process.stderr.on('error', () => undefined);
  for (const warning of configWarnings(process.env, config))
    logger.warn(warning, 'the configuration is hardly meant so');
  await using undo = new AsyncDisposableStack();
  const state = stateDisk(config.stateDirectory);
  let hangs = () => false;
  undo.defer(() => state.release(hangs()));
  const locked = await within(STATE_WAIT_MS, state.locked);
  const mountRootLock = await lockMountRoot(
    config.mountRoot,
    `socket ${config.socketPath}, state directory ${config.stateDirectory}`,
  );
  undo.defer(() => mountRootLock.release());
  let serving = false;
  const { path: mountRoot, unmake } = await prepareMountRoot(config.mountRoot, logger);
  undo.defer(() => {
    if (!serving) unmake();
  });
  const runDirectory = locked ? makeRunDirectory(config.stateDirectory) : makeUnknownRunDirectory();
  undo.defer(() => rm(runDirectory, { recursive: true, force: true }));
  const connection = await connect(config, mountRoot);
  undo.defer(() => connection.detach());

  const supervisor = new Supervisor({ daemonCommand, runDirectory, connection, logger });
  hangs = () => supervisor.waitsFor !== undefined;
  const socket = await listenOnSocket(config.socketPath, relay(supervisor, logger));
  undo.defer(() => socket.close(STOP_GRACE_MS));
  const metrics = config.metricsAddress && (await serveMetrics(config.metricsAddress, relay(supervisor, logger)));
  undo.defer(() => metrics?.close());
  logger.info(
    { version: VERSION, socket: config.socketPath, mountRoot, transport: config.transport, metrics: metrics?.url },
    'serving',
  );
  handleSignals(supervisor, logger);
  serving = true;
  if (!locked) {
    supervisor.waitsFor = silenceOf(config.stateDirectory, STATE_WAIT_MS);
    state.onSilence = (said) => {
      supervisor.waitsFor = said;
    };
    logger.error(
      { directory: config.stateDirectory },
      'the disk of the state directory does not answer: waiting for it',
    );
  }
  supervisor.start(locked ? undefined : state.locked);
  // Where no daemon ever is, the end says why.
  void supervisor.nextDaemon(new AbortController().signal).then(
    () => notifyReady(logger),
    () => undefined,
  );
  const end = await supervisor.ended;
  return end === 'stopped' ? 0 : 1;
}

/** The state directory's lock, as soon as its disk answers. It is not read for that: this process must be able to end. */
function stateDisk(directory: string) {
  let lock: StateLock | undefined;
  const state = {
    onSilence: (_said: string) => {},
    /** @throws as `lockStateDirectory` */
    locked: untilDiskAnswers(diskTakes(directory), SILENCE_SAID_MS, (ms) =>
      state.onSilence(silenceOf(directory, ms)),
    ).then(() => {
      lock = lockStateDirectory(directory);
    }),
    /** To be the last that is done: where its disk hangs, the process does not end otherwise, and nothing may touch it. */
    release(hangs: boolean) {
      if (hangs) die();
      lock?.release();
    },
  };
  return state;
}

/** A thread that waits for a disk, or a file on it to be closed, keeps a process from exiting; the kernel takes its locks back. */
function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

async function connect(config: Config, mountRoot: string): Promise<SupervisedConnection> {
  const id = randomUUID();
  // libfuse mounts by itself, in the daemon, and nothing of it can be handed on.
  const descriptor = config.transport === 'kernel' ? await mountConnection(mountRoot, 'ipfs-volume') : undefined;
  let detached: Promise<void> | undefined;
  const undo = async (): Promise<void> => {
    await detach(mountRoot);
    if (descriptor !== undefined) closeSync(descriptor);
  };
  return {
    descriptor,
    id,
    poke: () => void statfs(mountRoot).catch(() => undefined),
    detach: () => {
      detached ??= undo();
      return detached;
    },
  };
}

function handleSignals(supervisor: Supervisor, logger: Logger): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      logger.info({ signal }, 'stopping');
      setTimeout(die, STOP_LIMIT_MS).unref();
      supervisor.stop().catch((error: unknown) => logger.error({ error: messageChain(error) }, 'stopping failed'));
    });
  }
  process.on('SIGHUP', () => supervisor.replace());
}
