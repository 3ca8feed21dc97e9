/** Runs a command line inside the test's process, with captured output and its own environment. */
import { PassThrough, Readable, Writable } from 'node:stream';
import type { CliParts, Environment, Output } from '../../../src/cli/cli-parts.ts';
import { runCli } from '../../../src/cli/program.ts';

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Environment;
  readonly parts?: Partial<CliParts>;
  readonly stdin?: Uint8Array;
  /** Both outputs claim to be terminals. */
  readonly isTerminal?: boolean;
}

export const NO_PARTS: CliParts = {
  version: '1.2.3',
  loadCommands: async () => [],
  readConfiguration: () => ({
    stateDirectory: '/tmp',
    mountRoot: '/tmp/mnt',
    kuboRpc: undefined,
    kuboRpcAuth: undefined,
    gateways: [],
    gatewayAuth: undefined,
    gatewaysAreDefault: false,
  }),
  loadSourceChecks: async () => async () => [],
  loadServeDirectory: () => Promise.reject(new Error('this test serves no directory')),
};

export async function runCommand(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const stdout = capture(options.isTerminal);
  const stderr = capture(options.isTerminal);
  const code = await runCli(
    args,
    { ...NO_PARTS, ...options.parts },
    {
      stdout: stdout.output,
      stderr: stderr.output,
      stdin: options.stdin ? Readable.from([options.stdin]) : new PassThrough().end(),
      env: options.env ?? {},
    },
  );
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

function capture(isTerminal = false): { output: Output; text: () => string } {
  let text = '';
  const writable = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  // cli-progress moves the cursor through the methods of a tty.WriteStream.
  const tty = { isTTY: true, columns: 120, cursorTo: () => true, moveCursor: () => true, clearLine: () => true };
  return { output: Object.assign(writable, isTerminal ? tty : {}), text: () => text };
}
