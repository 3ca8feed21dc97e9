/**
 * The daemon: serves the FUSE connection that it inherited and the calls that the supervisor relays to it.
 *
 * The order of its start is the order of what depends on what: stores, volumes (from the state file, without the
 * network), what the kernel still knows of an earlier daemon, the connection, and last the socket, since a call that is
 * answered must find all of it.
 */
import { once } from 'node:events';
import express from 'express';
import { CodedError } from '../src/base/errors.ts';
import { createLogger, type Logger } from '../src/base/log.ts';
import { isBoundElsewhere } from '../src/fuse/bound-directories.ts';
import { serveConnection } from '../src/fuse/kernel/kernel-transport.ts';
import { libfuseTransport } from '../src/fuse/libfuse/libfuse-transport.ts';
import type { MountedFileSystem } from '../src/fuse/transport.ts';
import { StateFile } from '../src/volumes/state-file.ts';
import { VolumeRegistry } from '../src/volumes/volume-registry.ts';
import { VolumeStatuses } from '../src/volumes/volume-status.ts';
import type { Config } from './config.ts';
import { loadNegotiated, saveNegotiated } from './connection-state.ts';
import { type Content, openContent } from './content.ts';
import { controlRoutes } from './control-routes.ts';
import { type DaemonEnvironment, FUSE_DESCRIPTOR, type MessageDown, type MessageUp } from './daemon-process.ts';
import { controlCollaborators } from './daemon-status.ts';
import { driver } from './driver.ts';
import { prefetchedTree } from './prefetched-tree.ts';
import { pluginRoutes } from './routes.ts';
import { type ListeningSocket, listenOnSocket } from './server.ts';
import { rootsOf, volumeCommands } from './volume-commands.ts';

/** Calls under way at SIGTERM may take this long; the supervisor waits a little longer. */
const STOP_GRACE_MS = 2000;

/** Runs until SIGTERM, or until the mount is lost; resolves with the exit code. */
export async function runDaemon(config: Config, inherited: DaemonEnvironment): Promise<number> {
  const logger = createLogger(config.logLevel);
  const content = await openContent(config, logger);
  const { registry, statuses } = openVolumes(config, content, inherited.IPFS_VOLUME_CONNECTION, logger);
  const mounted = await serve(config, content, inherited, logger);
  const socket = await listen(config, inherited, { content, registry, statuses, mounted, logger });
  tell({ type: 'ready' });
  const stopped = once(process, 'SIGTERM').then(() => 'stopped' as const);
  answerPings();
  const end = await Promise.race([stopped, mounted.ended]);
  if (end === 'lost') logger.error({ mountRoot: config.mountRoot }, 'the mount is gone: somebody unmounted it');
  await socket.close(STOP_GRACE_MS);
  await content[Symbol.asyncDispose]();
  return end === 'stopped' ? 0 : 1;
}

function openVolumes(config: Config, content: Content, connection: string, logger: Logger) {
  const defaults = { prefetch: config.prefetch, timeoutMs: config.readTimeoutMs };
  const pinnedRoots = () => rootsOf(registry, (name) => registry.options(name).pin);
  const registry: VolumeRegistry = new VolumeRegistry({
    state: new StateFile(config.stateDirectory, logger),
    connection,
    mountRoot: config.mountRoot,
    tree: prefetchedTree(content.fileSystem, content.prefetcher, pinnedRoots),
    content: content.resolver,
    isBound: (directoryName) => isBoundElsewhere(config.mountRoot, directoryName),
    defaults,
    logger,
  });
  const statuses = new VolumeStatuses({
    registry,
    defaults,
    mounted: (name) => content.fileSystem.volume(name),
    progress: (name) => content.prefetcher.progress(name),
  });
  return { registry, statuses };
}

async function serve(
  config: Config,
  { fileSystem }: Content,
  inherited: DaemonEnvironment,
  logger: Logger,
): Promise<MountedFileSystem> {
  const options = { fsName: 'ipfs-volume', logger };
  if (config.transport === 'fuse-native') return libfuseTransport().mount(fileSystem, config.mountRoot, options);
  const file = inherited.IPFS_VOLUME_CONNECTION_FILE;
  const negotiated = loadNegotiated(file);
  return serveConnection(
    fileSystem,
    config.mountRoot,
    {
      descriptor: FUSE_DESCRIPTOR,
      inherited: inherited.IPFS_VOLUME_TAKE_OVER === '1',
      ...(negotiated ? { negotiated } : {}),
      onNegotiated: (agreed) => saveNegotiated(file, agreed),
    },
    options,
  );
}

interface Served {
  readonly content: Content;
  readonly registry: VolumeRegistry;
  readonly statuses: VolumeStatuses;
  readonly mounted: MountedFileSystem;
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

function answerPings(): void {
  process.on('message', (message: MessageDown) => {
    if (message.type === 'ping') tell({ type: 'pong' });
  });
  // Without its supervisor nobody would relay a call or restart it.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
}

function tell(message: MessageUp): void {
  if (!process.send) throw new CodedError('INTERNAL', 'the daemon is started by "ipfs-volume serve", not by hand');
  process.send(message);
}
