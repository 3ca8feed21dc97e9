/**
 * What the commands that talk to the daemon share: `--socket`, `--json`, and a client that lives as long as the action.
 */
import type { Command } from 'commander';
import type { CliContext } from './cli-parts.ts';
import { DaemonClient } from './daemon-client.ts';

export interface DaemonOptions {
  readonly socket?: string;
  readonly json?: boolean;
}

export function withSocketOption(command: Command): Command {
  return command.option(
    '--socket <path>',
    "the daemon's socket (default: IPFS_VOLUME_SOCKET, then where Docker looks)",
  );
}

/** `--socket`, and `--json`. */
export function withDaemonOptions(command: Command): Command {
  return withSocketOption(command).option('--json', 'print JSON for machines');
}

/** Runs `use` with a client of the daemon found, and closes it. @throws DAEMON_UNREACHABLE */
export async function withDaemon<T>(
  options: DaemonOptions,
  context: CliContext,
  use: (daemon: DaemonClient) => Promise<T>,
): Promise<T> {
  await using daemon = await DaemonClient.find({ socket: options.socket, env: context.process.env });
  return await use(daemon);
}

/** Prints lines on stdout, each ended. */
export function print(context: CliContext, ...lines: readonly string[]): void {
  for (const line of lines) context.process.stdout.write(`${line}\n`);
}

/** Prints a value as JSON on stdout. */
export function printJson(context: CliContext, value: unknown): void {
  print(context, JSON.stringify(value, null, 2));
}
