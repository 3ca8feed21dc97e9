/**
 * From a volume's reference to its content: peers first, then the name, then the path, each only where there is one. At
 * most the blocks on the way are fetched, the content's own root block among them.
 */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { resolvePath } from '../unixfs/resolve-path.ts';
import type { UnixfsReader } from '../unixfs/unixfs-reader.ts';
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
      const { cid, kind } = await resolvePath(unixfs, root, path, { priority: 'demand', signal, timeoutMs });
      return { cid: cid.toString(), kind };
    },
    isHere: (cid) => unixfs.blocks.has(cid),
  };
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
