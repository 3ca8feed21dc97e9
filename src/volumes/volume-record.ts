/** A volume as it is remembered, in memory and, as JSON, in the state file. */
import { CID } from 'multiformats/cid';
import type { Reference } from './reference.ts';

export interface VolumeRecord {
  readonly name: string;
  /** The options as they were written. */
  readonly options: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt: string;
  /** What the reference led to when it was last looked up; a name is asked again at the next first mount. */
  resolved: ResolvedContent | null;
  /** Docker's mounts by their ID, each counted: `docker cp` mounts again with the ID of the running container. */
  mounts: Record<string, MountCount>;
}

export interface ResolvedContent {
  /** The content itself, behind any path. */
  readonly cid: string;
  readonly kind: 'file' | 'directory';
}

export interface MountCount {
  count: number;
  /** The call that counted last. Older programs went by it; see `StateChanges` for what does now. */
  lastCall: string | null;
}

/** As the engine makes its IDs (moby: pkg/stringid), and `ipfs-volume mount` those of the volumes that it makes for itself. */
const OWNED_MOUNT_ID = /^(?:[0-9a-f]{64}|ipfs-volume-mount-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Mounts of a volume, over all IDs. */
export function mountsOf(record: VolumeRecord): number {
  return Object.values(record.mounts).reduce((sum, { count }) => sum + count, 0);
}

/** The IDs of those that the engine, or `ipfs-volume mount`, counted: of a volume that nobody uses any more they have leaked. */
export function leakedMounts({ mounts }: VolumeRecord): string[] {
  return Object.keys(mounts).filter((id) => OWNED_MOUNT_ID.test(id));
}

/** What the volume led to when it was last looked up, or what its reference spells out; undefined where somebody must be asked. */
export function rootOf({ resolved }: VolumeRecord, reference: Reference): CID | undefined {
  if (resolved) return CID.parse(resolved.cid);
  return reference.space === 'ipfs' && reference.path.length === 0 ? reference.cid : undefined;
}
