/** `ipfs-volume import FILE.car`: a CARv1 or v2 into the local store; its roots on stdout as the CAR spells them. */
import { createReadStream, openSync, statSync } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import type { Command } from 'commander';
import { CodedError } from '../../base/errors.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import { inputError } from '../input-error.ts';
import { transferProgress } from '../transfer-progress.ts';

/** Reads of a file: a mebibyte, as large as a block usually is. */
const READ_BYTES = 1024 * 1024;

export function registerImport(program: Command, context: CliContext): void {
  const command = program
    .command('import <file>')
    .description('import a CAR (version 1 or 2; "-" for standard input) into the local store and print its roots')
    .action((file: string, options: DaemonOptions) => importCar(file, options, context));
  withDaemonOptions(command);
}

async function importCar(file: string, options: DaemonOptions, context: CliContext): Promise<void> {
  const signal = context.interrupted();
  const { stream, sizeBytes } = file === '-' ? { stream: context.process.stdin, sizeBytes: undefined } : openCar(file);
  try {
    await withDaemon(options, context, async (daemon) => {
      const progress = transferProgress(
        context.process.stderr,
        'importing',
        sizeBytes === undefined ? undefined : { bytes: sizeBytes },
      );
      // A failing file ends the request with the file's own error, not with the broken connection that follows.
      let readError: Error | undefined;
      const counted = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          progress.advance(chunk.length);
          done(null, chunk);
        },
      });
      stream.once('error', (error) => {
        readError = inputError(file, error) as Error;
        counted.destroy(readError);
      });
      try {
        const result = await daemon.import(stream.pipe(counted), { signal });
        progress.stop();
        if (options.json) printJson(context, result);
        else print(context, ...result.roots);
      } catch (error) {
        throw readError ?? error;
      } finally {
        progress.stop();
      }
    });
  } finally {
    // Standard input too, or a writer that is silent would keep this process.
    stream.destroy();
  }
}

function openCar(file: string): { stream: Readable; sizeBytes: number } {
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) {
      throw new CodedError('INPUT_INVALID', `${file}: is a directory; "ipfs-volume add" adds directories`);
    }
    const fd = openSync(file, 'r');
    return { stream: createReadStream(file, { fd, highWaterMark: READ_BYTES }), sizeBytes: stat.size };
  } catch (error) {
    throw inputError(file, error);
  }
}
