/**
 * The entry of the command line: checks Node, then loads the rest.
 *
 * Bundled with code splitting, so that the dynamic import below stays one: a static import would be linked before the
 * check runs, and an old Node would answer with a syntax error. The entry script hands in what lies above this layer.
 */
import type { CliParts } from './cli-parts.ts';
import { nodeTooOld } from './node-version.ts';

/** Runs the command line of this process and sets its exit code. */
export async function main(parts: CliParts, nodeVersion: string = process.versions.node): Promise<void> {
  const refusal = nodeTooOld(nodeVersion);
  if (refusal !== undefined) {
    process.stderr.write(`${refusal}\n`);
    process.exitCode = 1;
    return;
  }
  // Whoever read our output has read enough (`| head`): no more to do, and nothing to complain about.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
  const { runCli } = await import('./program.ts');
  process.exitCode = await runCli(process.argv.slice(2), parts, process);
}
