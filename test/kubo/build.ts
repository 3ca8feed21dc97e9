/**
 * The real Kubo that tests and benchmarks run against, built from source by the Go module beside this file.
 *
 * The module pins Kubo and everything under it, so every machine gets the same node, and needs nothing but Go and the
 * module proxy. Kubo's own go.mod replaces go-libp2p by a fork that the proxy does not carry; replacements do not reach
 * a module that only depends on it, and go-libp2p 0.51, named here, is the release that works with the rest.
 *
 * A build takes minutes, so it happens once a machine, outside the tree: `node test/kubo/build.ts` prints the path.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** As `ipfs version --number` says it; the same as in go.mod, where a new one is to be named too. */
export const KUBO_VERSION = '0.43.1';

/** Where the binary is, or will be once built. */
export const KUBO_BINARY = join(
  process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
  'docker-volume-ipfs',
  `kubo-v${KUBO_VERSION}`,
  'ipfs',
);

/**
 * Path of the binary, after building it where it is not there yet. Go's own output goes to stderr.
 * Two builds at once do no harm: each writes its own file, and the last rename wins.
 * @throws where Go is absent or the build fails.
 */
async function buildKubo(): Promise<string> {
  if (existsSync(KUBO_BINARY)) return KUBO_BINARY;
  await mkdir(dirname(KUBO_BINARY), { recursive: true });
  const partial = `${KUBO_BINARY}.${process.pid}`;
  try {
    // At low priority: it keeps every core busy, and the machine may be doing something else. Without debugging tables
    // the binary is a third smaller.
    const flags = ['-mod=readonly', '-trimpath', '-ldflags=-s -w', '-o', partial];
    const build = ['go', 'build', ...flags, 'github.com/ipfs/kubo/cmd/ipfs'];
    const go = spawn('nice', build, { cwd: import.meta.dirname, stdio: ['ignore', 2, 2] });
    const [status] = (await once(go, 'exit')) as [number | null];
    if (status !== 0) throw new Error(`building Kubo ${KUBO_VERSION} failed (status ${status})`);
    await rename(partial, KUBO_BINARY);
  } finally {
    await rm(partial, { force: true });
  }
  return KUBO_BINARY;
}

if (import.meta.main) console.log(await buildKubo());
