/**
 * What a mount waits for: the look-up of its content, and never for longer than Docker's patience, whatever the volume's
 * own time-out is.
 */
import { CodedError, hasCode } from '../base/errors.ts';
import type { ContentResolver } from './content-resolver.ts';
import type { VolumeOptions } from './volume-options.ts';
import type { ResolvedContent } from './volume-record.ts';

/** Less than the 30 s after which a second call would come. */
const MOUNT_LIMIT_MS = 25_000;
/** Of which one block may take this much. */
const BLOCK_LIMIT_MS = 24_000;

/** @throws BLOCK_TIMEOUT after MOUNT_LIMIT_MS, and as `resolver.resolve` */
export async function resolveForMount(
  resolver: ContentResolver,
  options: VolumeOptions,
  signal?: AbortSignal,
): Promise<ResolvedContent> {
  const limit = AbortSignal.timeout(MOUNT_LIMIT_MS);
  // A block's own time-out tells what each source said; the limit on the whole is for many blocks in a row.
  const bounded = { ...options, timeoutMs: Math.min(options.timeoutMs, BLOCK_LIMIT_MS) };
  try {
    return await resolver.resolve(bounded, signal ? AbortSignal.any([limit, signal]) : limit);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (hasCode(error, 'BLOCK_TIMEOUT')) throw withHint(error as CodedError);
    if (!limit.aborted) throw error;
    throw new CodedError('BLOCK_TIMEOUT', `no answer within ${MOUNT_LIMIT_MS / 1000} s`, { cause: error });
  }
}

/** Whoever sees this has just typed `docker run`, and does not know of `status` yet. */
function withHint({ code, message, cause }: CodedError): CodedError {
  return new CodedError(code, `${message}; "ipfs-volume doctor" says which sources answer`, { cause });
}
