/**
 * A Kubo node far away: the origin of all remote benchmarks. It is reached through links alone, over HTTP (its gateway)
 * and over libp2p (its swarm port).
 */
import { mkdir, rm } from 'node:fs/promises';
import { type KuboNode, startKubo } from '../test/support/kubo.ts';
import { run, secondsWithin } from './child.ts';
import { type Link, type LinkSpeed, linkText, measureLink, openLink } from './link.ts';

export interface Origin {
  readonly node: KuboNode;
  /** The link of its gateway, and that gateway as it is seen through it. */
  readonly http: Link;
  readonly gatewayUrl: string;
  /** The link of its swarm port, and its address through it. */
  readonly libp2p: Link;
  readonly swarmAddress: string;
  /** What such a link gives, as measured before it is used. */
  readonly measured: LinkSpeed;
  close(): Promise<void>;
}

/**
 * By default a Kubo node has no more than 1 MiB under way to one peer: over 50 ms that is 5 MB/s, whoever reads. Ours
 * sends as the link allows, or every row through Kubo would measure that setting.
 */
const GENEROUS = {
  'Internal.Bitswap.MaxOutstandingBytesPerPeer': 64 * 1024 * 1024,
  'Internal.Bitswap.EngineTaskWorkerCount': 64,
  'Internal.Bitswap.TaskWorkerCount': 64,
};

/** A node with the content of `paths`, and the CID of each. Added as Kubo's profile `unixfs-v1-2025` does. */
async function startNode(paths: readonly string[]): Promise<{ node: KuboNode; cids: string[] }> {
  const node = await startKubo({ config: GENEROUS });
  const cids: string[] = [];
  for (const path of paths) {
    const profile = ['--cid-version=1', '--raw-leaves', '--chunker=size-1048576', '--max-file-links=1024'];
    const output = await node.line(['add', '-Q', '-r', '--pin=false', ...profile, path]);
    cids.push(output);
  }
  return { node, cids };
}

/** Links to `node` of a speed that was measured. */
async function linkTo(node: KuboNode, speed: LinkSpeed, note: (line: string) => void): Promise<Origin> {
  const measured = await measureLink(speed);
  note(`Link: ${linkText(speed)} asked for, ${linkText(measured)} measured.`);
  const http = await openLink(Number(new URL(node.gatewayUrl).port), speed);
  const address = await node.swarmAddress();
  const libp2p = await openLink(Number(/\/tcp\/(\d+)/.exec(address)?.[1]), speed);
  return {
    node,
    http,
    gatewayUrl: `http://127.0.0.1:${http.port}`,
    libp2p,
    swarmAddress: address.replace(/\/tcp\/\d+/, `/tcp/${libp2p.port}`),
    measured,
    close: async () => {
      await Promise.all([http.close(), libp2p.close()]);
    },
  };
}

/** Does `work` with an origin that has the content of `paths`, far away by `speed`; their CIDs are in the same order. */
export async function withOrigin<T>(
  paths: readonly string[],
  speed: LinkSpeed,
  note: (line: string) => void,
  work: (origin: Origin, cids: readonly string[]) => Promise<T>,
): Promise<T> {
  const { node, cids } = await startNode(paths);
  try {
    const origin = await linkTo(node, speed, note);
    try {
      return await work(origin, cids);
    } finally {
      await origin.close();
    }
  } finally {
    await node.stop();
  }
}

/** Links of another speed to the same node. */
export async function withLink<T>(
  origin: Origin,
  speed: LinkSpeed,
  note: (line: string) => void,
  work: (origin: Origin) => Promise<T>,
): Promise<T> {
  const other = await linkTo(origin.node, speed, note);
  try {
    return await work(other);
  } finally {
    await other.close();
  }
}

/** A Kubo node near the reader, new and empty, that reaches `origin` over its link. */
export async function startReader(origin: Origin): Promise<KuboNode> {
  const node = await startKubo();
  await node.run(['swarm', 'connect', origin.swarmAddress]);
  return node;
}

/** `ipfs get` of `cid` into `copy` by a node that has nothing; then does `work` with it, and with what it took. */
export async function withCopy<T>(
  origin: Origin,
  cid: string,
  copy: string,
  limitSeconds: number,
  work: (taken: Awaited<ReturnType<typeof secondsWithin>>) => Promise<T>,
): Promise<T> {
  const reader = await startReader(origin);
  try {
    const args = ['get', '--progress=false', '-o', copy, cid];
    return await work(await secondsWithin(limitSeconds, reader.program, args, reader.environment));
  } finally {
    await reader.stop();
    await rm(copy, { recursive: true, force: true });
  }
}

/** Mounts what `node` can reach, by Kubo's own FUSE; gives the directory in which CIDs are names. */
export async function mountKubo(node: KuboNode): Promise<{ readonly directory: string; unmount(): Promise<void> }> {
  const [ipfs, ipns, mfs] = ['ipfs', 'ipns', 'mfs'].map((name) => `${node.repo}/mounted-${name}`) as [
    string,
    string,
    string,
  ];
  for (const directory of [ipfs, ipns, mfs]) await mkdir(directory);
  await node.run(['mount', '-f', ipfs, '-n', ipns, '-m', mfs]);
  return {
    directory: ipfs,
    unmount: async () => {
      for (const directory of [ipfs, ipns, mfs]) await run('umount', ['-l', directory]).catch(() => undefined);
    },
  };
}
