/** `ipfs-volume status [VOLUME]`: volumes, sources, store and cache; `--watch` draws what is arriving. */
import type { Command } from 'commander';
import { CodedError } from '../../base/errors.ts';
import { isFuseMountPoint } from '../../fuse/mount-table.ts';
import type { CliContext } from '../cli-parts.ts';
import type { DaemonClient } from '../daemon-client.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import { describeDaemon, describeVolume, selectVolume } from '../status-text.ts';
import { watchVolumes } from '../watch-volumes.ts';

interface StatusOptions extends DaemonOptions {
  readonly watch?: boolean;
}

export function registerStatus(program: Command, context: CliContext): void {
  const command = program
    .command('status [volume]')
    .description('show volumes, sources, cache and progress, of all or of one volume')
    .option('--watch', 'draw progress until Ctrl-C (needs a terminal)')
    .action((volume: string | undefined, options: StatusOptions) => status(volume, options, context));
  withDaemonOptions(command);
}

async function status(volume: string | undefined, options: StatusOptions, context: CliContext): Promise<void> {
  if (options.watch && options.json)
    throw new CodedError('USAGE', '--watch is for people, --json for machines: choose one');
  if (options.watch && !context.process.stdout.isTTY) {
    throw new CodedError('USAGE', '--watch needs a terminal; call "status --json" again and again in a script');
  }
  await withDaemon(options, context, (daemon) => {
    if (options.watch) {
      const { stdout: output, env } = context.process;
      return watchVolumes(daemon, volume, { output, env }, context.interrupted());
    }
    return printOnce(daemon, volume, options, context);
  });
}

async function printOnce(
  daemon: DaemonClient,
  volume: string | undefined,
  options: StatusOptions,
  context: CliContext,
): Promise<void> {
  const status = await daemon.status();
  const shown = volume === undefined ? undefined : selectVolume(status, volume);
  if (options.json) return printJson(context, shown ?? status);
  const elsewhere = !(await isFuseMountPoint(status.mountRoot));
  print(context, ...(shown ? describeVolume(shown, elsewhere) : describeDaemon(status, elsewhere)));
}
