/**
 * What went wrong with a request, in words that say what to look at. Every failure of the network ends here, once.
 */
import { CodedError } from '../base/errors.ts';

/** The time-outs that undici applies, to be told in its errors. All in milliseconds. */
export interface HttpTimeouts {
  /** Until a connection stands, TLS included. */
  readonly connectMs: number;
  /** From the request until the answer's first line. */
  readonly answerMs: number;
  /** Between two pieces of a body. */
  readonly stallMs: number;
}

/**
 * ABORTED where `signal` was, a CodedError as it is, else SOURCE_FAILED: `NAME refused the connection`.
 * The cause is kept: undici's errors quote neither headers nor queries.
 */
export function httpFailure(name: string, error: unknown, signal: AbortSignal, timeouts: HttpTimeouts): CodedError {
  if (error instanceof CodedError) return error;
  if (signal.aborted) return new CodedError('ABORTED', `the request to ${name} was dropped`, { cause: error });
  return new CodedError('SOURCE_FAILED', `${name} ${describe(error, timeouts)}`, { cause: error });
}

function describe(error: unknown, timeouts: HttpTimeouts): string {
  const seconds = (ms: number) => `${ms / 1000} s`;
  switch (systemCode(error)) {
    case 'ECONNREFUSED':
      return 'refused the connection';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'has a host name that does not resolve';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'cannot be reached from this network';
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'cut the connection';
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `did not accept a connection within ${seconds(timeouts.connectMs)}`;
    case 'UND_ERR_HEADERS_TIMEOUT':
      return `accepted the request and said nothing for ${seconds(timeouts.answerMs)}`;
    case 'UND_ERR_BODY_TIMEOUT':
      return `stopped sending for ${seconds(timeouts.stallMs)}`;
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
      return 'was closed on our side';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return 'has a certificate that nobody here trusts (NODE_EXTRA_CA_CERTS names more authorities)';
    case 'UND_ERR_ABORTED':
      // undici's only word for a proxy that answers CONNECT with anything but 200: "Proxy response (502) !== 200 …".
      return `is not reached through the proxy (${/\((\d+)\)/.exec(String(error))?.[1] ?? 'no status'})`;
    default:
      return `failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The first code among the error, its causes and what an AggregateError (of a host's several addresses) gathers. */
function systemCode(error: unknown, depth = 0): string | undefined {
  if (!(error instanceof Error) || depth > 4) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  if (code?.startsWith('HPE_')) return undefined;
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return code ?? systemCode(inner, depth + 1);
}
