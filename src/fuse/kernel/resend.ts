/**
 * FUSE_NOTIFY_RESEND (Linux 6.9 and later): the kernel takes all that was read from the device and not answered for unread
 * again, so that the next process reads it, and whoever waits for it can be killed meanwhile.
 */
import { writeSync } from 'node:fs';
import { NOTIFY_RESEND, REPLY_HEADER_BYTES } from './protocol.ts';

/** False where the kernel cannot. `descriptor` is an open /dev/fuse, bound to a mount. */
export function requestResend(descriptor: number): boolean {
  const header = Buffer.alloc(REPLY_HEADER_BYTES);
  header.writeUInt32LE(REPLY_HEADER_BYTES, 0);
  header.writeInt32LE(NOTIFY_RESEND, 4);
  try {
    writeSync(descriptor, header);
    return true;
  } catch {
    return false;
  }
}
