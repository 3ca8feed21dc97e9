/**
 * The entry of the command line: checks Node, then loads the rest.
 *
 * Bundled with code splitting, so that the dynamic import below stays one: a static import would be linked before the
 * check runs, and an old Node would answer with a syntax error. The entry script hands in what lies above this layer.
 */
import type { CliParts } from './cli-parts.ts';
import { nodeTooOld } from './node-version.ts';

/**
 * Threads in which Node waits for the disk, and looks names up. Its own default is 4, which a disk that hangs takes all at
 * once; store and cache take twelve each at the most (see `BlockFiles`), and leave the rest to names and the state. Node
 * reads it when it needs the first of them; the processes that this one starts have it from the beginning.
 */
const WAITING_THREADS = '32';

/** Runs the command line of this process and sets its exit code. */
export async function main(parts: CliParts, nodeVersion: string = process.versions.node): Promise<void> {
  const refusal = nodeTooOld(nodeVersion);
  if (refusal !== undefined) {
    process.stderr.write(`${refusal}\n`);
    process.exitCode = 1;
    return;
  }
  process.env.UV_THREADPOOL_SIZE ??= WAITING_THREADS;
  // Whoever read our output has read enough (`| head`): no more to do, and nothing to complain about.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    // As a disk that is full: what was written of it is nothing to rely on.
    process.stderr.write(`ipfs-volume: standard output: write failed with ${error.code ?? error.message}\n`);
    process.exit(1);
  });
  const { runCli } = await import('./program.ts');
  process.exitCode = await runCli(process.argv.slice(2), parts, process);
}
