/**
 * A process that serves a small tree in memory, to be killed: `node serve-memory.ts DIRECTORY` mounts it; with the
 * descriptor of a connection as its descriptor 3, `node serve-memory.ts DIRECTORY NEGOTIATED` serves what is mounted there
 * already (`new` where nothing is negotiated yet). Says what was negotiated, one JSON line on stdout.
 *
 * With JOURNAL in the environment, it does as if the kernel could not send requests again, and keeps that journal.
 *
 * A third argument `slow` has each READ wait a little, so that a kill finds some of them unanswered.
 */
import { setTimeout as after } from 'node:timers/promises';
import { createLogger } from '../../src/base/log.ts';
import { serveConnection } from '../../src/fuse/kernel/kernel-transport.ts';
import { mountConnection } from '../../src/fuse/kernel/mount.ts';
import type { Negotiated } from '../../src/fuse/kernel/negotiation.ts';
import { MemoryFileSystem, patternBytes } from '../support/memory-file-system.ts';

/** Large enough that a reader is in the middle of it when the process is killed. */
const SERVED_SIZE_BYTES = 16 * 2 ** 20;

const { JOURNAL } = process.env;
const journal = JOURNAL ? { withoutResend: true, journalPath: JOURNAL } : {};
const [directory = '', negotiated, pace] = process.argv.slice(2);
const options = { fsName: 'serve-memory', logger: createLogger('error') };

const fileSystem = new MemoryFileSystem({
  volume: {
    text: 'hello',
    absent: { $absent: true },
    large: {
      size: SERVED_SIZE_BYTES,
      $read: async (offset, length) => {
        if (pace === 'slow') await after(2);
        return [patternBytes(offset, length)];
      },
    },
  },
});

const connection =
  negotiated === undefined
    ? { descriptor: await mountConnection(directory, options.fsName), ...journal }
    : {
        descriptor: 3,
        inherited: true,
        ...journal,
        ...(negotiated === 'new' ? {} : { negotiated: JSON.parse(negotiated) as Negotiated }),
      };
const served = await serveConnection(fileSystem, directory, connection, options);
process.stdout.write(`${JSON.stringify(served.negotiated)}\n`);
