/** `ipfs add` of the real Kubo under its profile `unixfs-v1-2025`, without a daemon, in a repository of its own. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KUBO_BINARY } from '../../kubo/build.ts';

const run = promisify(execFile);

/** Makes the repository in `folder` (absent so far). */
export async function initKubo(folder: string): Promise<void> {
  await ipfs(folder, ['init', '--empty-repo', '--profile=unixfs-v1-2025']);
}

/** The CID that Kubo gives `path`. Metadata needs `--raw-leaves=false` said: the profile's own setting is an error beside it. */
export function kuboAdd(folder: string, path: string, keepMetadata: boolean): Promise<string> {
  const metadata = keepMetadata ? ['--raw-leaves=false', '--preserve-mode', '--preserve-mtime'] : [];
  return ipfs(folder, ['add', '--recursive', '--offline', '--hidden', '--quieter', ...metadata, path]);
}

async function ipfs(folder: string, args: readonly string[]): Promise<string> {
  const running = run(KUBO_BINARY, [...args], { env: { ...process.env, IPFS_PATH: folder, IPFS_TELEMETRY: 'off' } });
  // It would wait for what it might be given there.
  running.child.stdin?.end();
  return (await running).stdout.trim();
}
