/**
 * Builds the node table and the volumes again from what an earlier process had recorded.
 *
 * Volumes come back as they were known, those that were removed too (their files may still be open), but none is mounted
 * before it is added again: what is mounted is for others to say. Events that name what is not there are passed over: it
 * ended before the events began.
 */
import type { ContentKey } from '../unixfs/content-key.ts';
import type { MountedVolume } from './mounted-volume.ts';
import type { NodeAddedEvent, NodeEvent } from './node-recorder.ts';
import type { NodeTable } from './node-table.ts';
import type { RootDirectory } from './root-directory.ts';
import { VolumeSet } from './volume-set.ts';

/** Applies `events` in order. Takes time in proportion to them, in one turn. */
export function restoreNodes(events: Iterable<NodeEvent>, nodes: NodeTable, root: RootDirectory): void {
  const volumes = new Map<number, MountedVolume>();
  for (const event of events) {
    switch (event.type) {
      case 'volume':
        volumes.set(event.serial, volumes.get(event.serial) ?? root.restore(event, event.serial));
        break;
      case 'volume-removed':
        root.restoreRemoval(event.serial);
        break;
      case 'node':
        restoreNode(event, nodes, volumes);
        break;
      case 'count':
        nodes.restoreCount(event.id, event.lookups);
        break;
      case 'held': {
        const volume = volumes.get(event.serial);
        if (volume) nodes.restoreHolder(event.id, volume);
        break;
      }
      case 'ended':
        nodes.restoreEnd(event.id);
        break;
      default:
        nodes.reserve(event.next.node);
        root.reserve(event.next.serial);
    }
  }
}

function restoreNode(event: NodeAddedEvent, nodes: NodeTable, volumes: ReadonlyMap<number, MountedVolume>): void {
  const { id, lookups, content, place, kind, mode, mtimeSeconds, mtimeNanoseconds } = event;
  const held = event.volumes.map((serial) => volumes.get(serial)).filter((volume) => volume !== undefined);
  const [volume] = held;
  if (!volume) return;
  const appearance = { kind, mode, mtimeSeconds, mtimeNanoseconds, owner: volume.owner };
  const base = { id, lookups, key: event.key as ContentKey, appearance };
  if (place) nodes.restore({ ...base, ...place, volume, childrenDeadlineMs: 0, inode: 0 });
  else if (content) nodes.restore({ ...base, ...content, holders: VolumeSet.restored(held) });
}
