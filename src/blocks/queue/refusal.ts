/** What is not even asked for. */
import type { CID } from 'multiformats/cid';
import { CodedError } from '../../base/errors.ts';
import { checkCid } from '../verify.ts';

/** Why a block cannot be wanted; undefined where it can. `sources`: how many there are. */
export function refusalOf(cid: CID, signal: AbortSignal | undefined, sources: number): CodedError | undefined {
  if (signal?.aborted) return new CodedError('ABORTED', `nobody waits for block ${cid} any more`);
  try {
    checkCid(cid);
  } catch (error) {
    return error as CodedError;
  }
  if (sources > 0) return undefined;
  return new CodedError(
    'BLOCK_UNAVAILABLE',
    `block ${cid} is not on this machine and no source is configured: set IPFS_VOLUME_KUBO_RPC or IPFS_VOLUME_GATEWAYS`,
  );
}

export function stopping(): CodedError {
  return new CodedError('ABORTED', 'the daemon is stopping');
}
