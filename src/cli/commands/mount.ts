/**
 * `ipfs-volume mount REF DIR`: one reference at one directory, without Docker, in the foreground until SIGINT or SIGTERM.
 *
 * Where a daemon answers and its mount can be seen from here, DIR becomes a bind mount of a volume of its own: caches,
 * sources and prefetch are shared with it. Elsewhere DIR is served by this process.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CodedError, hasCode, messageChain } from '../../base/errors.ts';
import { parseReference } from '../../volumes/reference.ts';
import { type BindRequest, bindVolume } from '../bind-volume.ts';
import type { CliContext } from '../cli-parts.ts';
import { DaemonClient } from '../daemon-client.ts';
import { type DaemonOptions, print, withSocketOption } from '../daemon-command.ts';
import { checkMountTarget } from '../mount-target.ts';
import type { ServedDirectory } from '../serve-directory.ts';

interface MountOptions extends DaemonOptions {
  readonly option: Readonly<Record<string, string>>;
  readonly daemon: boolean;
}

const DETAILS = `
REF is a CID, a CID with a path, /ipfs/CID[/path], /ipns/NAME[/path], ipfs://... or ipns://... .
DIR exists and is empty; for a reference to a single file it is an empty file. Needs root.`;

export function registerMount(program: Command, context: CliContext): void {
  const command = program
    .command('mount <ref> <dir>')
    .description('mount a reference at a directory, without Docker, until Ctrl-C or SIGTERM')
    .option(
      '-o, --option <key=value>',
      'a volume option, as of "docker volume create -o"; may be repeated',
      collect,
      {},
    )
    .option('--no-daemon', 'serve the directory from this process even where a daemon runs')
    .addHelpText('after', DETAILS)
    .action((reference: string, directory: string, options: MountOptions) =>
      mount(reference, directory, options, context),
    );
  withSocketOption(command);
}

/** @throws USAGE where a pair is none, or names what REF says already */
function collect(pair: string, pairs: Readonly<Record<string, string>>): Record<string, string> {
  const at = pair.indexOf('=');
  const key = pair.slice(0, at);
  if (at < 1) throw new CodedError('USAGE', `-o ${pair}: an option is KEY=VALUE`);
  if (key === 'cid' || key === 'path') throw new CodedError('USAGE', `-o ${pair}: REF says already what to mount`);
  return { ...pairs, [key]: pair.slice(at + 1) };
}

async function mount(reference: string, directory: string, options: MountOptions, context: CliContext): Promise<void> {
  // Here too, and first: the volume made of it would call it an option, which nobody has given.
  parseReference(reference);
  const target = resolve(directory);
  const stat = await checkMountTarget(target);
  const signal = context.interrupted();
  const request = { reference, target, targetStat: stat, volumeOptions: options.option, signal };
  const through = options.daemon ? await bindThroughDaemon(request, options, context) : undefined;
  const served = through?.served ?? (await serveAlone(reference, target, options, context, signal));
  const daemon = through?.daemon;
  // This output is not what the command is for: a reader that leaves (`| head`) would end it with the mount in place.
  context.process.stdout.removeAllListeners('error').on('error', () => {});
  try {
    print(context, `mounted ${reference} at ${target}${daemon ? `, through the daemon at ${daemon.socketPath}` : ''}`);
    await Promise.race([served.ended, aborted(signal)]);
  } finally {
    await served.unmount();
    await daemon?.[Symbol.asyncDispose]();
  }
}

async function serveAlone(
  reference: string,
  target: string,
  options: MountOptions,
  context: CliContext,
  signal: AbortSignal,
): Promise<ServedDirectory> {
  const serveDirectory = await context.parts.loadServeDirectory();
  return serveDirectory(reference, target, { volumeOptions: options.option, env: context.process.env, signal });
}

/** Where a daemon answers and what it mounts is seen here too. One that was named with --socket must answer. */
async function bindThroughDaemon(
  request: BindRequest,
  options: MountOptions,
  context: CliContext,
): Promise<{ daemon: DaemonClient; served: ServedDirectory } | undefined> {
  const found = await findDaemon(options, context);
  if (!found) return undefined;
  const { daemon, mountRoot } = found;
  let served: ServedDirectory | undefined;
  try {
    served = await bindVolume(daemon, mountRoot, request);
    if (served) return { daemon, served };
  } finally {
    if (!served) await daemon[Symbol.asyncDispose]();
  }
  context.process.stderr.write(
    `the daemon's mount root ${mountRoot} is not seen from here; serving without it, and without what its store and cache hold\n`,
  );
  return undefined;
}

async function findDaemon(
  options: MountOptions,
  context: CliContext,
): Promise<{ daemon: DaemonClient; mountRoot: string } | undefined> {
  let daemon: DaemonClient | undefined;
  try {
    daemon = await DaemonClient.find({ socket: options.socket, env: context.process.env });
    const { mountRoot } = await daemon.status();
    return { daemon, mountRoot };
  } catch (error) {
    await daemon?.[Symbol.asyncDispose]();
    if (options.socket !== undefined) throw error;
    // No daemon is the ordinary case; one that is there and fails is worth a line.
    if (!hasCode(error, 'DAEMON_UNREACHABLE'))
      context.process.stderr.write(`serving without the daemon: ${messageChain(error)}\n`);
    return undefined;
  }
}

/** Fulfilled at the signal. A signal handler alone would not keep the process alive; the timer that never fires does. */
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((done) => {
    const alive = setInterval(() => {}, 0x7fff_ffff);
    const settle = () => {
      clearInterval(alive);
      done();
    };
    signal.addEventListener('abort', settle, { once: true });
  });
}
