/**
 * From a volume's reference to its content: peers first, then the name, then the path, each only where there is one. At
 * most the blocks on the way are fetched, the content's own root block among them.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { BlocksHere } from '../blocks/blocks-here.ts';
import { type ResolvedPath, resolvePath } from '../unixfs/resolve-path.ts';
import { UnixfsReader } from '../unixfs/unixfs-reader.ts';
import type { Reference } from './reference.ts';
import type { VolumeOptions } from './volume-options.ts';
import type { ResolvedContent } from './volume-record.ts';

/** What resolves `/ipns/NAME`. @throws NAME_UNRESOLVED, ABORTED */
export interface NameLookup {
  resolve(name: string, options: { readonly signal: AbortSignal }): Promise<{ cid: CID; path: string }>;
}

/** What connects the Kubo node to peers. */
export interface PeerConnector {
  connect(peer: string, options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface ContentResolver {
  /**
   * What the volume's reference leads to at this moment. Bounded by `signal`.
   * @throws NAME_UNRESOLVED, NOT_UNIXFS, ENTRY_NOT_FOUND, NOT_A_DIRECTORY, what `blocks/` throws, ABORTED.
   */
  resolve(options: VolumeOptions, signal: AbortSignal): Promise<ResolvedContent>;
  /** The same by the blocks on this machine alone; undefined where these do not say. */
  resolveHere(reference: Reference): Promise<ResolvedContent | undefined>;
  /** Whether that block is on this machine: asks nobody. */
  isHere(cid: CID): boolean;
}

/** Peers help, and are no condition: content may be elsewhere too. They get this much time of a mount. */
const CONNECT_LIMIT_MS = 5000;

export function contentResolver(
  unixfs: UnixfsReader,
  names: NameLookup,
  /** Undefined where no Kubo node is configured. */
  peers: PeerConnector | undefined,
  logger: Logger,
): ContentResolver {
  const here = new UnixfsReader(new BlocksHere(unixfs.blocks), { cacheBytes: 0 });
  return {
    async resolve({ reference, peers: addresses, timeoutMs }, signal) {
      await connect(addresses, peers, logger, signal);
      let root: CID;
      let path = reference.path;
      if (reference.space === 'ipfs') {
        root = reference.cid;
      } else {
        const resolved = await names.resolve(reference.name, { signal });
        root = resolved.cid;
        path = [...resolved.path.split('/').filter((segment) => segment !== ''), ...path];
      }
      return spelled(await resolvePath(unixfs, root, path, { priority: 'demand', signal, timeoutMs }));
    },
    async resolveHere(reference) {
      if (reference.space !== 'ipfs') return undefined;
      try {
        return spelled(await resolvePath(here, reference.cid, reference.path, { priority: 'background' }));
      } catch {
        return undefined;
      }
    },
    isHere: (cid) => unixfs.blocks.has(cid),
  };
}

function spelled({ cid, kind }: ResolvedPath): ResolvedContent {
  return { cid: cid.toString(), kind };
}

async function connect(
  addresses: readonly string[],
  peers: PeerConnector | undefined,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  if (addresses.length === 0) return;
  if (!peers) {
    throw new CodedError('OPTION_INVALID', 'the option peers= needs a Kubo node, and IPFS_VOLUME_KUBO_RPC is empty');
  }
  const limit = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT_MS)]);
  await Promise.all(
    addresses.map((peer) =>
      peers.connect(peer, { signal: limit }).catch((error: unknown) => {
        logger.warn({ peer, error: String(error) }, 'the Kubo node could not connect to a peer; going on without it');
      }),
    ),
  );
}
