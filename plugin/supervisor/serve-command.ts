/** The commands `serve` and, hidden, `daemon`: environment and flags to a configuration, and that to a process. */
import { writeSync } from 'node:fs';
import type { Command } from 'commander';
import { die } from '../../src/base/die.ts';
import { messageChain } from '../../src/base/errors.ts';
import type { CliContext } from '../../src/cli/cli-parts.ts';
import { FLAGS, readConfig } from '../config.ts';
import { DAEMON_MEMORY_ENVIRONMENT, DAEMON_MEMORY_FLAGS } from '../daemon/memory-settings.ts';
import type { DaemonEnvironment } from './daemon-process.ts';

/** `serve`, with a flag for each variable of the configuration. */
export function registerServe(program: Command, context: CliContext): void {
  const command = program
    .command('serve')
    .description("the plugin's process: Docker's volume API on the socket, and one FUSE mount for all volumes");
  for (const { flag, variable, meaning, fallback } of FLAGS) {
    const otherwise = fallback === '' ? variable : `${variable}, else ${fallback}`;
    command.option(`${flag} <value>`, `${meaning} (default: ${otherwise})`);
  }
  command.action(async (flags: Record<string, string>) => {
    keepToOurselves(flags);
    const environment = withFlags(context.process.env, flags);
    const config = readConfig(environment);
    const { serve } = await import('./serve.ts');
    // Flags reach the daemon as what they stand for.
    Object.assign(process.env, DAEMON_MEMORY_ENVIRONMENT, environment);
    const [, script = ''] = process.argv;
    const daemon = [
      process.execPath,
      '--disable-sigusr1',
      ...DAEMON_MEMORY_FLAGS,
      ...process.execArgv,
      script,
      'daemon',
    ];
    process.exit(await serve(config, daemon));
  });
}

/** `daemon`: what `serve` starts, and nobody else. */
export function registerDaemon(program: Command, context: CliContext): void {
  program.command('daemon', { hidden: true }).action(async () => {
    keepToOurselves({});
    const fail = (words: string) => {
      try {
        writeSync(process.stderr.fd, `${words}\n`);
      } finally {
        die();
      }
    };
    process.on('uncaughtException', (error) => fail(error.stack ?? String(error)));
    const { env } = context.process;
    try {
      const { runDaemon } = await import('../daemon/daemon.ts');
      await runDaemon(readConfig(env), env as unknown as DaemonEnvironment);
      // The thread that is blocked reading /dev/fuse would keep it from exiting in any other way.
      die();
    } catch (error) {
      fail(`ipfs-volume: ${messageChain(error)}`);
    }
  });
}

function withFlags(env: CliContext['process']['env'], flags: Readonly<Record<string, string>>): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) environment[name] = value;
  for (const { flag, variable } of FLAGS) {
    // Commander's name of `--cache-size`: cacheSize.
    const key = flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    const value = flags[key];
    if (value !== undefined) environment[variable] = value;
  }
  return environment;
}

/**
 * What is made from here on (databases, sockets) is root's alone. What was said in flags may be an authorization: the title
 * takes its place in the command line that `ps` shows to everybody.
 */
function keepToOurselves(flags: Readonly<Record<string, string>>): void {
  process.umask(0o077);
  if (Object.keys(flags).length > 0) process.title = 'ipfs-volume serve';
}
