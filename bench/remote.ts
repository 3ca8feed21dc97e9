/**
 * Ways to see content that is far away: ourselves, from the origin's gateway and through a Kubo node near the reader;
 * that node's own FUSE; rclone over HTTP. Each is new and empty for every trial.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Measured, Trial } from './benchmark.ts';
import { mountedBy } from './contenders.ts';
import type { Link } from './link.ts';
import { mountKubo, type Origin, startReader } from './origin.ts';
import { VolumeDaemon } from './volume-daemon.ts';

export interface Seen {
  /** Where the content's root is. */
  readonly directory: string;
  /** The link that it comes over. */
  readonly link: Link;
  /** Those who serve it, the reader's Kubo node included. */
  readonly processIds: readonly number[];
  /** Ours alone. */
  readonly daemon?: VolumeDaemon;
  close(): Promise<void>;
}

export interface RemoteContender {
  readonly name: string;
  /** `options` are volume options, for those that have them. */
  open(cid: string, options?: Readonly<Record<string, string>>): Promise<Seen>;
}

/** A trial that has `cid` opened for it, and closed after it; `options` are volume options. */
export function remoteTrial(
  contender: RemoteContender,
  cid: string,
  measure: (seen: Seen) => Promise<readonly Measured[]>,
  options: Readonly<Record<string, string>> = {},
): Trial {
  return { contender: contender.name, run: () => withSeen(contender, cid, options, measure) };
}

export async function withSeen<T>(
  contender: RemoteContender,
  cid: string,
  options: Readonly<Record<string, string>>,
  work: (seen: Seen) => Promise<T>,
): Promise<T> {
  const seen = await contender.open(cid, options);
  try {
    return await work(seen);
  } finally {
    await seen.close();
  }
}

/** Nothing but what a reader asks for and what is read ahead of it. */
export const NO_PREFETCH = { prefetch: 'none' };

const OURS_GATEWAY = 'ipfs-volume (gateway)';
const OURS_KUBO = 'ipfs-volume (Kubo)';

export function throughGateway(origin: Origin, environment: NodeJS.ProcessEnv = {}): RemoteContender {
  return {
    name: OURS_GATEWAY,
    async open(cid, options = {}) {
      const daemon = await VolumeDaemon.start({ gatewayUrl: origin.gatewayUrl, environment });
      const directory = await daemon.mount('volume', cid, options);
      return {
        directory,
        link: origin.http,
        processIds: [daemon.processId],
        daemon,
        close: () => daemon.stop(),
      };
    },
  };
}

export function throughKubo(origin: Origin, environment: NodeJS.ProcessEnv = {}): RemoteContender {
  return {
    name: OURS_KUBO,
    async open(cid, options = {}) {
      const reader = await startReader(origin);
      const daemon = await VolumeDaemon.start({ kuboRpc: reader.rpcUrl, environment });
      const directory = await daemon.mount('volume', cid, options);
      return {
        directory,
        link: origin.libp2p,
        processIds: [daemon.processId, reader.processId],
        daemon,
        close: async () => {
          await daemon.stop();
          await reader.stop();
        },
      };
    },
  };
}

export function kuboMount(origin: Origin): RemoteContender {
  return {
    name: 'ipfs mount',
    async open(cid) {
      const reader = await startReader(origin);
      const mounted = await mountKubo(reader);
      return {
        directory: join(mounted.directory, cid),
        link: origin.libp2p,
        processIds: [reader.processId],
        close: async () => {
          await mounted.unmount();
          await reader.stop();
        },
      };
    },
  };
}

export function rcloneMount(origin: Origin): RemoteContender {
  return {
    name: 'rclone mount (HTTP)',
    async open(cid) {
      const directory = await mkdtemp(join(tmpdir(), 'rclone-'));
      const remote = `:http,url="${origin.gatewayUrl}/ipfs/${cid}/":`;
      const child = spawn('rclone', ['mount', '--config', '/dev/null', '--read-only', remote, directory], {
        stdio: 'ignore',
      });
      const mounted = await mountedBy(child, directory);
      return {
        directory,
        link: origin.http,
        processIds: child.pid === undefined ? [] : [child.pid],
        close: async () => {
          await mounted.unmount();
          await rm(directory, { recursive: true, force: true });
        },
      };
    },
  };
}
