/** One request for one block at one source, and what becomes of it. */
import type { CID } from 'multiformats/cid';
import { CodedError, codeOf } from '../../base/errors.ts';
import { verifyBlock } from '../verify.ts';

/**
 * What became of a request. `absent` and `lied` are the source's last word on the block; `failed` (an error of the
 * source) and `silent` (no answer in time, which a search for an absent block is too) may be tried again.
 */
export type Outcome =
  | { readonly kind: 'block'; readonly bytes: Uint8Array }
  | { readonly kind: 'absent' | 'lied' | 'failed' | 'silent'; readonly error: CodedError };

/** A request in flight. `cancel` ends it on the wire, and its `ended` is not called. */
export interface Attempt {
  /** Slower than the source's usual. */
  readonly slow: boolean;
  /** It comes, if slowly. */
  readonly moves: boolean;
  cancel(): void;
}

/** Who is told: `slow` at most once, `ended` once unless cancelled, neither from within `fetch`. */
export interface AttemptEvents {
  slow(): void;
  ended(outcome: Outcome): void;
}

/** Of bytes that came for `cid`. */
export function outcomeOf(cid: CID, bytes: Uint8Array): Outcome {
  try {
    verifyBlock(cid, bytes);
    return { kind: 'block', bytes };
  } catch (error) {
    return { kind: 'lied', error: coded(error) };
  }
}

/** Of what a source threw. */
export function outcomeOfError(thrown: unknown): Outcome {
  const code = codeOf(thrown);
  const error = coded(thrown);
  if (code === 'BLOCK_UNAVAILABLE') return { kind: 'absent', error };
  if (code === 'BLOCK_TOO_LARGE' || code === 'BLOCK_CORRUPT') return { kind: 'lied', error };
  return { kind: 'failed', error };
}

export function sourceFailed(message: string, cause?: unknown): CodedError {
  return new CodedError('SOURCE_FAILED', message, { cause });
}

function coded(error: unknown): CodedError {
  return error instanceof CodedError
    ? error
    : sourceFailed(error instanceof Error ? error.message : String(error), error);
}
