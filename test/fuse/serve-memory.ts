/**
 * A process that serves a small tree in memory, to be killed: `node serve-memory.ts DIRECTORY` mounts it; with the
 * descriptor of a connection as its descriptor 3, `node serve-memory.ts DIRECTORY NEGOTIATED` serves what is mounted there
 * already (`new` where nothing is negotiated yet). Says what was negotiated, one JSON line on stdout.
 *
 * With JOURNAL in the environment, it does as if the kernel could not send requests again, and keeps that journal.
 *
 * With SUSPECTS in the environment, it keeps that file of what it crashed of: a READ of `poison` crashes it out of turn. A
 * READ of `waiting` waits for a process that has RELEASE there.
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

const { JOURNAL, SUSPECTS, RELEASE } = process.env;
const journal = JOURNAL ? { withoutResend: true, journalPath: JOURNAL } : {};
const suspects = SUSPECTS ? { suspectsPath: SUSPECTS } : {};
const [directory = '', negotiated, pace] = process.argv.slice(2);
const options = { fsName: 'serve-memory', logger: createLogger('error') };

const fileSystem = new MemoryFileSystem({
  volume: {
    text: 'hello',
    absent: { $absent: true },
    poison: {
      size: 5,
      $read: () => {
        setImmediate(() => {
          throw new Error('poison');
        });
        return new Promise(() => undefined);
      },
    },
    waiting: {
      size: 5,
      $read: () => (RELEASE ? [Buffer.from('there')] : new Promise(() => undefined)),
    },
    large: {
      size: SERVED_SIZE_BYTES,
      $read: async (offset, length) => {
        if (pace === 'slow') await after(2);
        return [patternBytes(offset, length)];
      },
    },
  },
});

// A thread that is blocked reading /dev/fuse would keep the process from exiting, in whichever way but this one.
process.on('uncaughtException', () => process.kill(process.pid, 'SIGKILL'));

const connection =
  negotiated === undefined
    ? { descriptor: await mountConnection(directory, options.fsName), ...journal, ...suspects }
    : {
        descriptor: 3,
        inherited: true,
        ...journal,
        ...suspects,
        ...(negotiated === 'new' ? {} : { negotiated: JSON.parse(negotiated) as Negotiated }),
      };
const served = await serveConnection(fileSystem, directory, connection, options);
process.stdout.write(`${JSON.stringify(served.negotiated)}\n`);
