/**
 * The daemon's own API, beside Docker's, on the same socket: what `ipfs-volume add`, `status` and the rest speak.
 *
 * JSON both ways, but for `import`, whose request body is the CAR, and its counterpart, whose answer is one. Errors are HTTP 4xx/5xx with `ControlError`; the code
 * says what went wrong and the message is ready for people. Types and names alone: the routes are in `plugin/daemon/control-routes.ts`,
 * the client in `src/cli/daemon-client.ts`.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Priority } from '../blocks/priority.ts';
import type { SourceStatus } from '../blocks/source-status.ts';

/** Paths of the API; `:volume` and `:cid` are percent-encoded. */
export const CONTROL_PATHS = {
  /** GET → DaemonStatus */
  status: '/ipfs-volume/status',
  /** GET → Prometheus' text format: the path that scrapers know, on the socket and on IPFS_VOLUME_METRICS. */
  metrics: '/metrics',
  /** GET → Diagnosis[]: what only the daemon can check (its sources, its disk). */
  doctor: '/ipfs-volume/doctor',
  /**
   * POST, body a CARv1 or CARv2 → ImportResult. With `?root=last` the CAR names no root: its last block is the root
   * (what `add` streams, since a root is known only at the end). Kept blocks are on disk (synced) when the reply comes.
   */
  import: '/ipfs-volume/import',
  /** GET → StoredRoot[] */
  store: '/ipfs-volume/store',
  /** DELETE → { removed: true }: forgets the root; its blocks go with the next `gc`. */
  storeRoot: '/ipfs-volume/store/:cid',
  /**
   * GET → a CARv1 of the DAG below `:cid`, of announced length, with EXPORT_HEADERS. Blocks that are missing are an error
   * before it begins; what is found missing later breaks the connection off.
   */
  storeCar: '/ipfs-volume/store/:cid/car',
  /** POST → GcResult */
  storeGc: '/ipfs-volume/store-gc',
  /** POST → VolumeStatus: resolves when all of the volume is on this machine, or fails saying what is missing. */
  prefetch: '/ipfs-volume/volumes/:volume/prefetch',
  /** POST → Evicted */
  evict: '/ipfs-volume/volumes/:volume/evict',
  /** GET → ProfileSummary[] */
  profiles: '/ipfs-volume/profiles',
  /** GET → BootProfile as its file has it; `:name` is a root's CID, a name, or a volume. */
  profile: '/ipfs-volume/profiles/:name',
  /** POST, body the text of a profile → ProfileSummary. With `?name=` it is kept under that name too. */
  profileImport: '/ipfs-volume/profiles-import',
} as const;

/** What the CAR of an export holds: its blocks, and the bytes in them. */
export const EXPORT_HEADERS = { blocks: 'x-ipfs-volume-blocks', bytes: 'x-ipfs-volume-bytes' } as const;

export interface ControlError {
  readonly code: ErrorCode;
  readonly message: string;
}

export type VolumeState = 'created' | 'mounted' | 'prefetching' | 'complete' | 'failing';

/** One volume, as `Status` of VolumeDriver.Get and as `ipfs-volume status` show it. Sizes in bytes. */
export interface VolumeStatus {
  readonly name: string;
  readonly reference: string;
  /** The CID that the reference stands for, once resolved. */
  readonly cid: string | null;
  /** The path below it, '' for none. */
  readonly path: string;
  readonly state: VolumeState;
  readonly mountpoint: string | null;
  readonly mounts: number;
  readonly createdAt: string;
  readonly bytesTotal: number | null;
  readonly bytesCached: number;
  /** False where `bytesCached` is not known (yet), and 0: of volumes that are not used, it is counted after a start, one by one. */
  readonly counted: boolean;
  /** What the background will still bring, as far as the cache has room for it; null where that is not known. */
  readonly bytesToCome: number | null;
  /** Why the background stopped before all was here, where that is as it should be; null otherwise. */
  readonly stopped: string | null;
  readonly blocksFetched: number;
  /** What came over the network on this volume's account since the daemon started, by why it was fetched. */
  readonly fetched: Readonly<Record<Priority, { readonly blocks: number; readonly bytes: number }>>;
  /** What readers wait for now: how many, the longest one's time so far, and what for; null where nobody waits. */
  readonly waiting: { readonly readers: number; readonly seconds: number; readonly for: string } | null;
  /** The source that sent the latest block. */
  readonly source: string | null;
  /** The boot profile that this mount uses, or why it uses none that there is; else the one that is kept for the next. */
  readonly profile: string | null;
  readonly lastError: string | null;
  readonly lastErrorSecondsAgo: number | null;
  readonly options: Readonly<Record<string, string>>;
}

export interface ProfileSummary {
  readonly name: string;
  readonly root: string;
  readonly blocks: number;
  readonly runs: number;
}

export interface DaemonStatus {
  readonly version: string;
  /** Of this daemon. */
  readonly uptimeSeconds: number;
  /** Daemons before it since the mount was made: that died, or made room at SIGHUP. */
  readonly restarts: number;
  readonly mountRoot: string;
  readonly stateDirectory: string;
  readonly volumes: readonly VolumeStatus[];
  readonly sources: readonly SourceStatus[];
  readonly store: { readonly roots: number; readonly blocks: number; readonly bytes: number };
  readonly cache: {
    readonly blocks: number;
    readonly bytes: number;
    readonly limitBytes: number;
    /** Why it takes nothing (a full disk), or nothing more; null where it does. */
    readonly trouble: string | null;
  };
  readonly blocksByPriority: Readonly<Record<Priority, number>>;
}

export interface Diagnosis {
  /** What was checked, such as `kubo http://127.0.0.1:5001`. */
  readonly check: string;
  readonly outcome: 'ok' | 'warning' | 'failed';
  readonly detail: string;
  /** How to mend it; '' where nothing is to be mended. */
  readonly advice: string;
}

export interface ImportResult {
  /** As the CAR spells them; the last block's CID with `?root=last`. */
  readonly roots: readonly string[];
  readonly blocks: number;
  readonly bytes: number;
}

export interface StoredRoot {
  readonly cid: string;
  readonly blocks: number;
  readonly bytes: number;
  readonly addedAt: string;
}

export interface GcResult {
  readonly removedBlocks: number;
  readonly freedBytes: number;
}

/** What `evict` did: bytes that the cache gave back, bytes of the volume that are here none the less, and the volumes that have some of it, too. */
export interface Evicted {
  readonly freedBytes: number;
  readonly keptBytes: number;
  readonly sharedWith: readonly string[];
}
