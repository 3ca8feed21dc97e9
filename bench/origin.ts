/**
 * A Kubo node far away: the origin of all remote benchmarks. It is reached through links alone, over HTTP (its gateway)
 * and over libp2p (its swarm port).
 */
import { mkdir } from 'node:fs/promises';
import { type KuboNode, startKubo } from '../test/support/kubo.ts';
import { run } from './child.ts';

import { type Link, type LinkSpeed, linkText, measureLink, openLink } from './link.ts';

export interface Origin {
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

/** A node with the content of `paths`, and the CID of each. Added as Kubo's profile `unixfs-v1-2025` does. */
export async function startNode(paths: readonly string[]): Promise<{ node: KuboNode; cids: string[] }> {
  const node = await startKubo();
  const cids: string[] = [];
  for (const path of paths) {
    const profile = ['--cid-version=1', '--raw-leaves', '--chunker=size-1048576', '--max-file-links=1024'];
    const output = await node.line(['add', '-Q', '-r', '--pin=false', ...profile, path]);
    cids.push(output);
  }
  return { node, cids };
}

/** Links to `node` of a speed that was measured. */
export async function linkTo(node: KuboNode, speed: LinkSpeed, note: (line: string) => void): Promise<Origin> {
  const measured = await measureLink(speed);
  note(`Link: ${linkText(speed)} asked for, ${linkText(measured)} measured.`);
  const http = await openLink(Number(new URL(node.gatewayUrl).port), speed);
  const address = await node.swarmAddress();
  const libp2p = await openLink(Number(/\/tcp\/(\d+)/.exec(address)?.[1]), speed);
  return {
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

/** A Kubo node near the reader, new and empty, that reaches `origin` over its link. */
export async function startReader(origin: Origin): Promise<KuboNode> {
  const node = await startKubo();
  await node.run(['swarm', 'connect', origin.swarmAddress]);
  return node;
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
