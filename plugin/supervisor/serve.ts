/**
 * `ipfs-volume serve`: the plugin's process. It is the supervisor; the daemon is its child, started as the hidden command
 * `daemon` of the same program.
 */
import { randomUUID } from 'node:crypto';
import { closeSync } from 'node:fs';
import { rm, statfs } from 'node:fs/promises';
import { messageChain } from '../../src/base/errors.ts';
import { createLogger, type Logger } from '../../src/base/log.ts';
import { lockStateDirectory } from '../../src/base/state-lock.ts';
import { mountConnection } from '../../src/fuse/kernel/mount.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { Config } from '../config.ts';
import { serveMetrics } from '../daemon/metrics-server.ts';
import { listenOnSocket } from '../daemon/server.ts';
import { VERSION } from '../version.ts';
import { prepareMountRoot } from './mount-root.ts';
import { lockMountRoot } from './mount-root-lock.ts';
import { relay } from './relay.ts';
import { makeRunDirectory } from './run-directory.ts';
import { notifyReady } from './service-manager.ts';
import { type SupervisedConnection, Supervisor } from './supervisor.ts';

/** Calls under way when the supervisor ends get an answer, or an end, within this. */
const STOP_GRACE_MS = 300;
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
  await using undo = new AsyncDisposableStack();
  const lock = lockStateDirectory(config.stateDirectory);
  undo.defer(() => lock.release());
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
  const runDirectory = makeRunDirectory(config.stateDirectory);
  undo.defer(() => rm(runDirectory, { recursive: true, force: true }));
  const connection = await connect(config, mountRoot);
  undo.defer(() => connection.detach());

  const supervisor = new Supervisor({ daemonCommand, runDirectory, connection, logger });
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
  supervisor.start();
  // Where no daemon ever is, the end says why.
  void supervisor.nextDaemon(new AbortController().signal).then(
    () => notifyReady(logger),
    () => undefined,
  );
  const end = await supervisor.ended;
  return end === 'stopped' ? 0 : 1;
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
      setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
      supervisor.stop().catch((error: unknown) => logger.error({ error: messageChain(error) }, 'stopping failed'));
    });
  }
  process.on('SIGHUP', () => supervisor.replace());
}
