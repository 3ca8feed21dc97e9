/**
 * The one error type of this project.
 *
 * Everything that can go wrong has a code. A code is thrown early, wrapped once at a boundary with its `cause`, and
 * translated once: to an errno in `fuse/errno.ts`, to Docker's `Err` in `plugin/daemon/routes.ts`, to an exit line in `cli/`.
 * Those tables are `Record<ErrorCode, …>`: a new code without a row does not compile.
 */

/** What went wrong, by the name under which docs/TROUBLESHOOTING.md explains it. */
export type ErrorCode =
  // The file system's own answers.
  | 'ENTRY_NOT_FOUND' // the directory was read, the name is not in it
  | 'NOT_A_DIRECTORY'
  | 'IS_A_DIRECTORY'
  | 'NOT_A_SYMLINK'
  | 'NAME_TOO_LONG'
  | 'BAD_HANDLE' // a node number that was never given out, or was forgotten
  | 'NODE_LOST' // a node number of an earlier daemon, which could not be kept beyond it
  | 'TOO_MANY_NODES' // the kernel holds as many files and directories as there is memory for
  | 'READ_ONLY'
  | 'NO_ATTRIBUTE' // an extended attribute that is not there
  // Blocks and what they hold.
  | 'BLOCK_UNAVAILABLE' // every source said that it has no such block
  | 'BLOCK_TIMEOUT' // the time-out passed with a source still silent
  | 'BLOCK_CORRUPT' // bytes that do not hash to their CID
  | 'BLOCK_TOO_LARGE' // above 2 MiB
  | 'DAG_INVALID' // a block that is not what its place in the DAG says it must be
  | 'NOT_UNIXFS' // a volume's root that is no UnixFS file or directory
  | 'SOURCE_FAILED' // a source could not answer (refused, 500, cut off); another may
  | 'ABORTED' // the caller went away
  // What users write.
  | 'CONFIG_INVALID' // an environment variable or flag that cannot be read
  | 'OPTION_INVALID' // a volume option unknown, unreadable, or contradicting another
  | 'REFERENCE_INVALID' // neither a CID, nor an IPFS or IPNS path
  | 'NAME_UNRESOLVED' // an IPNS or DNSLink name that nobody resolves
  | 'REQUEST_INVALID' // an API body that cannot be read
  | 'CAR_INVALID' // a CAR that is truncated or does not parse
  | 'USAGE' // a command line that makes no sense
  | 'INPUT_INVALID' // a local file or directory that a command cannot take
  // Volumes and the machine.
  | 'VOLUME_NOT_FOUND'
  | 'VOLUME_EXISTS' // created before with other options
  | 'VOLUME_IN_USE'
  | 'NOT_IN_STORE' // the local store keeps no such root, or not all of it
  | 'STORE_FULL' // no space left on the device of the local store
  | 'STATE_LOCKED' // another process owns the state directory, the mount root or the socket
  | 'MOUNT_FAILED'
  | 'DAEMON_UNREACHABLE' // no daemon answers on the socket
  | 'INTERNAL'; // a defect of ours

/** An error with a code for programs and a message for people; `cause` keeps the chain. */
export class CodedError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CodedError';
    this.code = code;
  }
}

/** The code of anything thrown: an AbortError is ABORTED, whatever else is foreign is INTERNAL. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof CodedError) return error.code;
  if (error instanceof Error && error.name === 'AbortError') return 'ABORTED';
  return 'INTERNAL';
}

/** True where `error` carries `code` itself (its causes are not searched). */
export function hasCode(error: unknown, code: ErrorCode): boolean {
  return codeOf(error) === code;
}

/** `message: cause: cause`, as Docker shows errors; a cause whose text the message already ends with is not repeated. */
export function messageChain(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  // Eight levels: nobody reads further, and a cyclic cause must end.
  for (let depth = 0; current !== undefined && current !== null && depth < 8; depth++) {
    const text = current instanceof Error ? current.message || current.name : String(current);
    if (text !== '' && !parts.at(-1)?.endsWith(text)) parts.push(text);
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join(': ');
}
