/** `ipfs-volume store export CID [FILE]`: a DAG of the local store as a CAR, in a file or on standard output. */
import { pipeline } from 'node:stream/promises';
import { CodedError, hasCode } from '../base/errors.ts';
import { formatBytes, formatCount } from '../base/units.ts';
import type { CliContext } from './cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon } from './daemon-command.ts';
import { transferProgress } from './transfer-progress.ts';
import { writeWholeFile } from './whole-file.ts';

/** `file` is '-' for standard output. @throws USAGE where that is a terminal, or is to hold JSON; NOT_IN_STORE */
export async function exportCar(cid: string, file: string, options: DaemonOptions, context: CliContext): Promise<void> {
  const { stdout, stderr } = context.process;
  if (file === '-' && options.json) throw new CodedError('USAGE', '--json needs a FILE: standard output has the CAR');
  if (file === '-' && stdout.isTTY) {
    const how = 'name a FILE, or send it on: "ipfs-volume store export CID | ipfs dag import"';
    throw new CodedError('USAGE', `a CAR is nothing for a terminal: ${how}`);
  }
  // Of standard output there is nothing to undo; and while its reader takes none, no handler of ours would run.
  const signal = file === '-' ? undefined : context.interrupted();
  let begun = false;
  try {
    await withDaemon(options, context, async (daemon) => {
      const { blocks, bytes, carBytes, car } = await daemon.exportCar(cid, { signal });
      begun = true;
      const progress = transferProgress(stderr, 'exporting', { bytes: carBytes });
      try {
        const counted = advancing(car, progress.advance);
        if (file === '-') await pipeline(counted, stdout, { end: false });
        else await writeWholeFile(file, counted);
      } finally {
        progress.stop();
      }
      if (options.json) printJson(context, { cid, blocks, bytes });
      else if (file !== '-')
        print(context, `${file}: ${formatCount(blocks, 'block')}, ${formatBytes(bytes)} of ${cid}`);
    });
  } catch (error) {
    if (!begun || !hasCode(error, 'DAEMON_UNREACHABLE')) throw error;
    // It may have broken off because a block is gone by now, which it says before it begins.
    await withDaemon(options, context, (daemon) => daemon.exportCar(cid, { signal }));
    throw error;
  }
}

async function* advancing(
  content: AsyncIterable<Uint8Array>,
  advance: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    yield chunk;
    advance(chunk.length);
  }
}
