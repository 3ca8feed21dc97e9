/**
 * Where the daemon listens: `--socket`, then IPFS_VOLUME_SOCKET, then the places where Docker looks for plugins.
 *
 * A socket that was named is the only one tried. Of the usual places the first that accepts a connection is taken: what a
 * dead daemon left behind refuses. A managed plugin's lies in a folder named by the plugin's id: of several of these none is
 * the first, and a command may take away what another daemon keeps.
 */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { CodedError } from '../base/errors.ts';

/** Ends the error of `findSocket`. */
export const START_ADVICE =
  'Start it with "ipfs-volume serve" or "docker plugin enable ipfs", as root, or name its socket with --socket';

const PLUGIN_DIRECTORY = '/run/docker/plugins';
/** A daemon that does not accept within this is taken for hung; accepting is the supervisor's work and needs no daemon. */
const CONNECT_TIMEOUT_MS = 3000;

export interface SocketSearch {
  /** `--socket` */
  readonly socket?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where Docker keeps plugin sockets; another only in tests. */
  readonly pluginDirectory?: string | undefined;
}

/** The paths that would be tried, in order; those of one group stand beside each other. */
export function socketCandidates({ socket, env, pluginDirectory = PLUGIN_DIRECTORY }: SocketSearch): string[][] {
  const named = socket || env.IPFS_VOLUME_SOCKET;
  if (named) return [[named]];
  return [
    [`${pluginDirectory}/ipfs.sock`],
    foldersOf(pluginDirectory).map((id) => `${pluginDirectory}/${id}/ipfs.sock`),
  ];
}

/**
 * The first socket that accepts. @throws DAEMON_UNREACHABLE with all that was tried and how to start a daemon, USAGE where
 * several accept of which none is the first
 */
export async function findSocket(search: SocketSearch): Promise<string> {
  const failures: string[] = [];
  for (const paths of socketCandidates(search)) {
    const accepting: string[] = [];
    for (const path of paths) {
      const failure = await tryConnect(path);
      if (failure === undefined) accepting.push(path);
      else failures.push(`${path} (${failure})`);
    }
    const [first, ...more] = accepting;
    if (more.length > 0) {
      throw new CodedError(
        'USAGE',
        `several daemons answer: name one with --socket or IPFS_VOLUME_SOCKET (${accepting.join(', ')})`,
      );
    }
    if (first) return first;
  }
  throw new CodedError('DAEMON_UNREACHABLE', `no daemon answers; tried ${failures.join(', ')}. ${START_ADVICE}`);
}

function foldersOf(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** `undefined` where a connection was accepted, else why not. */
function tryConnect(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const connection = connect({ path, timeout: CONNECT_TIMEOUT_MS });
    const settle = (failure: string | undefined) => {
      connection.destroy();
      resolve(failure);
    };
    connection.once('connect', () => settle(undefined));
    connection.once('timeout', () => settle('does not accept'));
    connection.once('error', (error: NodeJS.ErrnoException) => {
      const reasons: Readonly<Record<string, string>> = {
        ENOENT: 'no such file',
        ECONNREFUSED: 'nobody listens',
        EACCES: 'permission denied',
        ENOTSOCK: 'no socket',
      };
      settle(reasons[error.code ?? ''] ?? error.message);
    });
  });
}
