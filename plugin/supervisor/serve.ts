/**
 * `ipfs-volume serve`: the plugin's process. It is the supervisor; the daemon is its child, started as the hidden command
 * `daemon` of the same program.
 */
import { randomUUID } from 'node:crypto';
import { closeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createLogger } from '../../src/base/log.ts';
import { logOutput } from '../../src/base/log-output.ts';
import { mountConnection } from '../../src/fuse/kernel/mount.ts';
import { requestResend } from '../../src/fuse/kernel/resend.ts';
import { detach } from '../../src/fuse/run-program.ts';
import type { Config } from '../config.ts';
import { configWarnings } from '../config-warnings.ts';
import { serveMetrics } from '../daemon/metrics-server.ts';
import { listenOnSocket } from '../daemon/server.ts';
import { VERSION } from '../version.ts';
import { silenceOf } from './daemon-process.ts';
import { checkDescriptorLimit } from './descriptor-limit.ts';
import { prepareMountRoot } from './mount-root.ts';
import { lockMountRoot } from './mount-root-lock.ts';
import { relay } from './relay.ts';
import { makeRunDirectory } from './run-directory.ts';
import { notifyReady } from './service-manager.ts';
import { Signals } from './signals.ts';
import { StateDisk } from './state-disk.ts';
import { Supervisor } from './supervisor.ts';
import type { SupervisedConnection } from './supervisor-options.ts';
import { within } from './within.ts';

/** Calls under way when the supervisor ends get an answer, or an end, within this. */
const STOP_GRACE_MS = 300;
/** As may the last lines of the log; whoever does not take them by then hangs. */
const LOG_GRACE_MS = 400;
/** A state directory that has not answered by then is waited for later: the engine dials a starting plugin for 10 s. */
const STATE_WAIT_MS = 3000;

/**
 * Serves until SIGTERM or SIGINT, or until its daemons will not stay up; resolves with the exit code.
 * @throws STATE_LOCKED, MOUNT_FAILED, CONFIG_INVALID where the metrics' address is taken, and what the machine refuses, before anything is left behind.
 */
export async function serve(config: Config, daemonCommand: readonly string[]): Promise<number> {
  checkDescriptorLimit();
  // Daemons' last words go to stderr, and are in the log as well: whether either is read, nobody waits for it.
  const outputs = { log: logOutput(1), errors: logOutput(2) };
  const logger = createLogger(config.logLevel, outputs.log);
  for (const warning of configWarnings(process.env, config))
    logger.warn(warning, 'the configuration is hardly meant so');
  const state = new StateDisk(config.stateDirectory);
  const signals = new Signals(() => state.use(), logger);
  await using undo = new AsyncDisposableStack();
  let locked = false;
  let hangs = () => signals.stopping && !locked;
  undo.defer(async () => {
    await within(LOG_GRACE_MS, outputs.log.written());
    await state.release(hangs());
  });
  locked = await within(STATE_WAIT_MS, state.locked);
  if (signals.stopping) return 0;
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
  const runDirectory = makeRunDirectory(locked ? config.stateDirectory : undefined);
  undo.defer(() => runDirectory.remove());
  if (signals.stopping) return 0;
  const connection = await connect(config, mountRoot);
  undo.defer(() => connection.detach());

  const supervisor = new Supervisor({
    daemonCommand,
    runDirectory: runDirectory.path,
    connection,
    logger,
    outputs,
    state,
  });
  hangs = () => supervisor.silence !== undefined;
  const socket = await listenOnSocket(config.socketPath, relay(supervisor, logger));
  undo.defer(() => socket.close(STOP_GRACE_MS));
  const metrics = config.metricsAddress && (await serveMetrics(config.metricsAddress, relay(supervisor, logger)));
  undo.defer(() => metrics?.close());
  logger.info(
    { version: VERSION, socket: config.socketPath, mountRoot, transport: config.transport, metrics: metrics?.url },
    'serving',
  );
  signals.hand(supervisor);
  serving = true;
  // With this process every container's mount would end, which no defect in one call is worth.
  process.on('uncaughtException', ({ stack }) => logger.error({ stack }, 'a defect of the supervisor, which goes on'));
  if (!locked) {
    supervisor.silence = silenceOf(config.stateDirectory, STATE_WAIT_MS);
    state.onSilence = (said) => {
      supervisor.silence = said;
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
    giveBack: () => {
      if (descriptor !== undefined && config.resend) requestResend(descriptor);
    },
    detach: () => {
      detached ??= undo();
      return detached;
    },
  };
}
