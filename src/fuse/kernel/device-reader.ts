/**
 * The thread that blocks in read(2) on /dev/fuse. It understands nothing of what it reads: everything that can fail is
 * the other thread's.
 *
 * ENODEV means that the file system is unmounted and ends the thread; so does anything that will not go away. A request
 * that was withdrawn between waking us and being read gives ENOENT; EINTR and EAGAIN are nothing.
 */
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { RecentRequests } from './in-flight-journal.ts';
import { RingWriter } from './request-ring.ts';

/** What the thread is started with. */
export interface DeviceReaderData {
  readonly descriptor: number;
  readonly ring: SharedArrayBuffer;
  /** Of the journal, where there is one. */
  readonly journal: number | undefined;
}

/** What it says when it ends: the error code that ended it, ENODEV for an unmount, STOPPED where it was told to. */
export interface DeviceReaderEnd {
  readonly code: string;
}

const TRANSIENT: ReadonlySet<string> = new Set(['ENOENT', 'EINTR', 'EAGAIN']);

const { descriptor, ring, journal } = workerData as DeviceReaderData;
const recent = journal === undefined ? undefined : new RecentRequests(journal);
parentPort?.postMessage({ code: readUntilEnd(descriptor, new RingWriter(ring), recent) } satisfies DeviceReaderEnd);

function readUntilEnd(descriptor: number, writer: RingWriter, recent: RecentRequests | undefined): string {
  while (!writer.stopped) {
    try {
      const room = writer.reserve();
      const length = readSync(descriptor, room);
      // The device never says end of file; what did, is not the device.
      if (length === 0) return 'EOF';
      if (recent && writer.journalled) recent.note(room.subarray(0, length));
      writer.commit(length);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (!TRANSIENT.has(code)) return code;
    }
  }
  return 'STOPPED';
}
