/**
 * The program `ipfs-volume`: its commands, and the one place where an error becomes a line and an exit code.
 *
 * Exit code 0 on success, 1 on failure with one line on stderr, 2 on wrong usage. Nothing but results goes to stdout.
 */
import { Command, CommanderError } from 'commander';
import { hasCode, messageChain } from '../base/errors.ts';
import type { CliContext, CliParts, CliProcess, RegisterCommand } from './cli-parts.ts';
import { registerAdd } from './commands/add.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEvict } from './commands/evict.ts';
import { registerImport } from './commands/import.ts';
import { registerMount } from './commands/mount.ts';
import { registerPrefetch } from './commands/prefetch.ts';
import { registerProfile } from './commands/profile.ts';
import { registerStatus } from './commands/status.ts';
import { registerStore } from './commands/store.ts';
import { interruptSignal } from './interrupt.ts';

const COMMANDS: readonly RegisterCommand[] = [
  registerMount,
  registerAdd,
  registerImport,
  registerStore,
  registerStatus,
  registerPrefetch,
  registerEvict,
  registerProfile,
  registerDoctor,
];

/** Runs one command line (without node and script) and resolves to its exit code; never rejects. */
export async function runCli(args: readonly string[], parts: CliParts, process: CliProcess): Promise<number> {
  const interrupt = interruptSignal();
  const context: CliContext = { process, parts, interrupted: interrupt.signal };
  try {
    const program = createProgram(context, await parts.loadCommands());
    refuseUnknownTopic(program, args);
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has printed its own message, or the help, already; only help and version that were asked for are 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`ipfs-volume: ${oneLine(messageChain(error))}\n`);
    return hasCode(error, 'USAGE') ? 2 : 1;
  } finally {
    interrupt.dispose();
  }
}

function createProgram(context: CliContext, more: readonly RegisterCommand[]): Command {
  const { process, parts } = context;
  const program = new Command('ipfs-volume')
    .description('Mounts IPFS content as Docker volumes, lazily: each block just in time.')
    .version(parts.version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => process.stdout.write(text),
      writeErr: (text) => process.stderr.write(text),
      // One line, the suggestion included.
      outputError: (text, write) => write(`ipfs-volume: ${oneLine(text.replace(/^error: /, ''))}\n`),
      getOutHelpWidth: () => process.stdout.columns ?? 100,
      getErrHelpWidth: () => process.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const register of [...more, ...COMMANDS]) register(program, context);
  return program;
}

/** Commander answers `help nonsense` with the help of the program. */
function refuseUnknownTopic(program: Command, [command, topic]: readonly string[]): void {
  if (command !== 'help' || topic === undefined || topic.startsWith('-')) return;
  if (program.commands.some((each) => each.name() === topic)) return;
  program.error(`there is no command '${topic}'; "ipfs-volume --help" lists them`);
}

/** A message that came with line breaks (a server's, a kernel's) still is one line. */
function oneLine(message: string): string {
  return message.replace(/\s*\n\s*/g, ' ').trim();
}
