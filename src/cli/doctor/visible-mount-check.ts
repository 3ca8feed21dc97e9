/**
 * Whether what the daemon mounts is seen from here: its own word cannot tell. A service with a mount namespace of its own
 * serves volumes that no container can use, and nothing else is wrong with it.
 */
import { isFuseMountPoint } from '../../fuse/mount-table.ts';
import type { Diagnosis } from '../../volumes/control-api.ts';
import { hasCandidates } from '../find-mountpoint.ts';
import { diagnosis } from './machine-checks.ts';

/** A plugin's mount root lies in a namespace of its own, and is seen below the engine's directory. */
export async function checkVisibleMount(
  mountRoot: string,
  isSeen = async () => (await isFuseMountPoint(mountRoot)) || (await hasCandidates()),
): Promise<Diagnosis> {
  if (await isSeen()) return diagnosis('mount', 'ok', 'what the daemon mounts is seen from here');
  const advice =
    'take PrivateTmp, ProtectSystem, ProtectHome and the like out of its unit, which give it a mount namespace of its own; restart it where somebody unmounted it; in a container, run doctor on the host';
  return diagnosis('mount', 'warning', `what the daemon mounts on ${mountRoot} is not seen from here`, advice);
}
