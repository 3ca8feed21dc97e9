/**
 * Gets a FUSE connection from the kernel without a native addon: the device is opened here, and mount(8), which inherits
 * it as its descriptor 3, binds it to the directory. Both have the same open file description, so the mount is ours.
 */
import { closeSync, openSync } from 'node:fs';
import { CodedError } from '../../base/errors.ts';
import { runProgram } from '../run-program.ts';

const DEVICE = '/dev/fuse';
const INHERITED_DESCRIPTOR = 3;

/**
 * Mounts `directory` (which exists) read-only, for all users, with permissions checked by the kernel.
 * @returns the open device; whoever has it serves the mount, and closes it
 * @throws MOUNT_FAILED with what mount(8) said and how to mend it
 */
export async function mountConnection(directory: string, fsName: string): Promise<number> {
  const descriptor = openDevice();
  const options = [
    `fd=${INHERITED_DESCRIPTOR}`,
    'rootmode=40000', // S_IFDIR, octal
    'user_id=0',
    'group_id=0',
    'allow_other',
    'default_permissions',
    'ro',
    'nosuid',
    'nodev',
  ].join(',');
  // -i: without /sbin/mount.fuse, which would start a program by the name of the device.
  const end = await runProgram('mount', ['-i', '-t', 'fuse', '-o', options, fsName, directory], descriptor);
  if (!end.ok) {
    closeSync(descriptor);
    throw new CodedError('MOUNT_FAILED', `cannot mount ${directory}: ${end.said}${remedy(end.said)}`);
  }
  return descriptor;
}

function openDevice(): number {
  try {
    return openSync(DEVICE, 'r+');
  } catch (error) {
    const remedies: Readonly<Record<string, string>> = {
      ENOENT: 'load the module with "modprobe fuse", or give the container the device',
      EACCES: 'run as root',
      EPERM: 'give the container the device with "--device /dev/fuse"',
    };
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const mend = remedies[code] ?? 'see the system log';
    throw new CodedError('MOUNT_FAILED', `cannot open ${DEVICE} (${code}): ${mend}`, { cause: error });
  }
}

function remedy(said: string): string {
  if (/permission denied|must be superuser|not permitted/i.test(said)) {
    return ' (mounting needs root with CAP_SYS_ADMIN; fuse-native mounts without, where fusermount is installed)';
  }
  if (/cannot be run/.test(said)) return ' (install util-linux, or use the fuse-native transport)';
  return '';
}
