/** What the control API shows and does, from the daemon's parts. */

import type { Priority } from '../../src/blocks/priority.ts';
import { checkPrivacy } from '../../src/cli/doctor/privacy-check.ts';
import type { DaemonStatus } from '../../src/volumes/control-api.ts';
import { exportDag } from '../../src/volumes/store-export.ts';
import type { VolumeStatuses } from '../../src/volumes/volume-status.ts';
import type { Config } from '../config.ts';
import { checkSources } from '../source-checks.ts';
import { VERSION } from '../version.ts';
import type { VolumeCommands } from '../volume-commands.ts';
import type { Content } from './content.ts';
import type { ControlCollaborators } from './control-routes.ts';
import { cacheTrouble, checkDisk } from './disk-checks.ts';
import { type MetricsSources, metricsText } from './metrics.ts';

export function controlCollaborators(
  config: Config,
  content: Content,
  statuses: VolumeStatuses,
  mount: Pick<MetricsSources, 'requestCounts' | 'restarts'>,
): Omit<ControlCollaborators, keyof VolumeCommands> {
  const { store, cache, blocks, prefetcher } = content;
  const status = (): DaemonStatus => ({
    version: VERSION,
    uptimeSeconds: Math.floor(process.uptime()),
    restarts: mount.restarts,
    mountRoot: config.mountRoot,
    stateDirectory: config.stateDirectory,
    volumes: statuses.all(),
    sources: blocks.sources,
    store: store.statistics(),
    cache: { ...cache.statistics(), trouble: cacheTrouble(cache) },
    blocksByPriority: Object.fromEntries(
      Object.entries(blocks.stats).map(([priority, { blocks: count }]) => [priority, count]),
    ) as Record<Priority, number>,
  });
  return {
    status,
    metrics: () => metricsText({ ...mount, content, status }),
    diagnose: async () => [
      ...checkDisk(config.stateDirectory, cache, config.cacheSizeBytes),
      ...(await checkSources(config)),
      ...checkPrivacy(config),
    ],
    importCar: (car, lastIsRoot, signal) => store.importCar(car, { root: lastIsRoot ? 'last' : 'header', signal }),
    storedRoots: () => store.roots(),
    removeRoot: (cid) => store.remove(cid),
    exportDag: (root, signal) => exportDag(store, root, signal),
    collectGarbage: () => store.gc().finally(() => prefetcher.countAgain()),
  };
}
