/** `ipfs-volume prefetch VOLUME`: fetches all of a volume now and waits until it is on this machine. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import { reportProgress } from '../report-progress.ts';
import { watchVolumes } from '../watch-volumes.ts';

/** Often enough to see that it is alive, and a log of an hour stays short. */
const REPORT_MS = 10_000;

export function registerPrefetch(program: Command, context: CliContext): void {
  const command = program
    .command('prefetch <volume>')
    .description('fetch all of a volume now and wait; with progress on a terminal')
    .action((volume: string, options: DaemonOptions) => prefetch(volume, options, context));
  withDaemonOptions(command);
}

async function prefetch(volume: string, options: DaemonOptions, context: CliContext): Promise<void> {
  const signal = context.interrupted();
  await withDaemon(options, context, async (daemon) => {
    const done = new AbortController();
    // A client of its own: the first connection is busy until all is there.
    const watching = context.process.stderr.isTTY
      ? withDaemon(options, context, (other) =>
          watchVolumes(other, volume, { output: context.process.stderr, env: context.process.env }, done.signal),
        )
      : withDaemon(options, context, (other) =>
          reportProgress(other, volume, context.process.stderr, REPORT_MS, done.signal),
        );
    // Watching is for the eye: where it fails, the prefetch goes on.
    watching.catch(() => {});
    try {
      const status = await daemon.prefetch(volume, { signal });
      done.abort();
      await watching.catch(() => {});
      if (options.json) printJson(context, status);
      else print(context, `${status.name}: ${formatBytes(status.bytesTotal ?? status.bytesCached)} on this machine`);
    } finally {
      done.abort();
      await watching.catch(() => {});
    }
  });
}
