/**
 * The daemon: serves the FUSE connection that it inherited and the calls that the supervisor relays to it.
 *
 * The order of its start is the order of what depends on what: the disk of the state directory, which another thread finds
 * to answer, stores, volumes (from the state file, without the
 * network), what the kernel still knows of an earlier daemon, the connection, and last the socket, since a call that is
 * answered must find all of it.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import express from 'express';
import { die } from '../../src/base/die.ts';
import { diskAnswers, untilDiskAnswers } from '../../src/base/disk-answers.ts';
import { CodedError, messageChain } from '../../src/base/errors.ts';
import { createLogger, type Logger } from '../../src/base/log.ts';
import type { MountedFileSystem } from '../../src/fuse/transport.ts';
import type { VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import type { VolumeStatuses } from '../../src/volumes/volume-status.ts';
import type { Config } from '../config.ts';
import { connectionFiles } from '../supervisor/connection-state.ts';
import type { DaemonEnvironment, MessageDown, MessageUp } from '../supervisor/daemon-process.ts';
import { useSameDirectory } from '../supervisor/usable-directory.ts';
import { within } from '../supervisor/within.ts';
import { volumeCommands } from '../volume-commands.ts';
import type { Content } from './content.ts';
import { controlRoutes } from './control-routes.ts';
import { controlCollaborators } from './daemon-status.ts';
import { driver } from './driver.ts';
import { isOfTheState, type OpenedState, openState } from './open-state.ts';
import { pluginRoutes } from './routes.ts';
import { type ListeningSocket, listenOnSocket } from './server.ts';

/** Calls under way at SIGTERM may take this long; the supervisor waits a little longer. */
const STOP_GRACE_MS = 1500;
/** At a replacement, calls that cannot be sent again to the next daemon (a CAR on its way in) may take this long. */
const REPLACE_GRACE_MS = 3000;
/** As may what starts recorded so far: a disk that hangs has no profile. */
const PROFILES_GRACE_MS = 500;
/** A disk that spins up takes longer, and then it is said once. */
const SILENCE_SAID_MS = 5000;

/** Runs until SIGTERM, until it is replaced, or until the mount is lost. The process is then to end by SIGKILL. */
export async function runDaemon(config: Config, inherited: DaemonEnvironment): Promise<void> {
  // A terminal sends these to the whole group; it is the supervisor that answers them.
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const stopped = once(process, 'SIGTERM').then(() => 'stopped' as const);
  const replaced = obeySupervisor();
  const logger = createLogger(config.logLevel);
  const opening = () => tell({ type: 'opening', directory: config.stateDirectory, silentMs: 0 });
  let opened: OpenedState;
  try {
    if ((await Promise.race([stopped, stateAnswers(config.stateDirectory, inherited)])) === 'stopped') return;
    opened = await openState(config, inherited, { onRestoring: () => tell({ type: 'restoring' }), opening }, logger);
  } catch (error) {
    if (!isOfTheState(error)) throw error;
    tell({ type: 'refused', why: messageChain(error) });
    return;
  }
  const { content, registry, statuses, serve, lock } = opened;
  tell({ type: 'opened' });
  const mounted = await serve(content.fileSystem, () => tell({ type: 'answered' }));
  const socket = await listen(config, inherited, { content, registry, statuses, mounted, logger });
  tell({ type: 'ready' });
  const end = await Promise.race([stopped, replaced, mounted.ended]);
  if (end === 'replaced') {
    await Promise.all([
      socket.close(REPLACE_GRACE_MS),
      mounted.drain(() => tell({ type: 'draining' })),
      within(PROFILES_GRACE_MS, content.prefetcher.close()),
    ]);
    return;
  }
  if (end === 'lost') {
    logger.error({ mountRoot: config.mountRoot }, 'the mount is gone: somebody unmounted it');
    tell({ type: 'lost' });
  }
  await socket.close(STOP_GRACE_MS);
  await content[Symbol.asyncDispose]();
  lock.release();
}

/** Resolves once the disk of the state directory, and the local store's where that is another, answers another thread. @throws CONFIG_INVALID */
async function stateAnswers(directory: string, inherited: DaemonEnvironment): Promise<void> {
  const opening = (silentMs: number) => tell({ type: 'opening', directory, silentMs });
  opening(0);
  const { state } = connectionFiles(inherited.IPFS_VOLUME_CONNECTION_DIRECTORY);
  await untilDiskAnswers(useSameDirectory(directory, state), SILENCE_SAID_MS, opening);
  for (const path of [directory, join(directory, 'store')])
    await untilDiskAnswers(diskAnswers(path), SILENCE_SAID_MS, opening);
}

interface Served {
  readonly content: Content;
  readonly registry: VolumeRegistry;
  readonly statuses: VolumeStatuses;
  readonly mounted: Pick<MountedFileSystem, 'requestCounts'>;
  readonly logger: Logger;
}

function listen(config: Config, inherited: DaemonEnvironment, served: Served): Promise<ListeningSocket> {
  const app = express();
  app.disable('x-powered-by');
  app.use(
    controlRoutes({
      ...controlCollaborators(config, served.content, served.statuses, {
        requestCounts: served.mounted.requestCounts,
        restarts: Number(inherited.IPFS_VOLUME_RESTARTS),
      }),
      ...volumeCommands(served.registry, served.statuses, served.content.prefetcher, served.content.profiles),
    }),
  );
  app.use(pluginRoutes(driver(served.registry, served.statuses), served.logger));
  return listenOnSocket(inherited.IPFS_VOLUME_DAEMON_SOCKET, app);
}

/** Answers pings; resolves when the supervisor wants another daemon in this one's place. */
function obeySupervisor(): Promise<'replaced'> {
  // Without its supervisor nobody would relay a call or restart it.
  process.once('disconnect', die);
  return new Promise((resolve) => {
    process.on('message', ({ type }: MessageDown) => {
      if (type === 'ping') tell({ type: 'pong' });
      else resolve('replaced');
    });
  });
}

function tell(message: MessageUp): void {
  if (!process.send) throw new CodedError('INTERNAL', 'the daemon is started by "ipfs-volume serve", not by hand');
  process.send(message);
}
