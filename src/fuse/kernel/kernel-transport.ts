/**
 * The FUSE protocol spoken from here: the default transport.
 *
 * Two steps that may be two processes: `mountConnection` gets a mounted connection, `serveConnection` serves one. A
 * supervisor that keeps the descriptor can have one process after the other serve it.
 */
import { CodedError } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { detach } from '../run-program.ts';
import type { FuseTransport, MountedFileSystem, MountOptions } from '../transport.ts';
import { mountConnection } from './mount.ts';
import type { Negotiated } from './negotiation.ts';
import { type Connection, FuseSession } from './session.ts';

export interface ServedConnection extends MountedFileSystem {
  /** Plain data, for the `negotiated` of whoever takes the connection over. */
  readonly negotiated: Negotiated;
  /** As `FuseSession.drain`. */
  drain(): Promise<void>;
}

/** The transport that mounts with mount(8) and speaks to /dev/fuse. */
export function kernelTransport(): FuseTransport {
  return {
    name: 'kernel',
    async mount(fileSystem: FileSystem, directory: string, options: MountOptions): Promise<MountedFileSystem> {
      const descriptor = await mountConnection(directory, options.fsName);
      return serveConnection(fileSystem, directory, { descriptor }, options);
    },
  };
}

/**
 * Serves what is mounted on `directory` through `connection`, whose descriptor it closes in the end. Resolves once the
 * protocol is agreed on; a connection taken over is served at once.
 * @throws MOUNT_FAILED where the kernel is too old; the mount is then detached
 */
export async function serveConnection(
  fileSystem: FileSystem,
  directory: string,
  connection: Connection,
  options: MountOptions,
): Promise<ServedConnection> {
  const session = new FuseSession(fileSystem, connection, options);
  const unmount = async (): Promise<void> => {
    session.detached();
    const end = await Promise.race([detach(directory), session.ended]);
    // Somebody else may have unmounted it meanwhile: then the end is on its way, and the failure is none.
    if (typeof end === 'object' && !end.ok && !/not mounted|no mount point/.test(end.said)) {
      throw new CodedError('MOUNT_FAILED', `cannot unmount ${directory}: ${end.said}`);
    }
    await session.ended;
  };
  try {
    const negotiated = await session.negotiated;
    const { ended, requestCounts } = session;
    return { directory, requestCounts, ended, unmount, negotiated, drain: () => session.drain() };
  } catch (error) {
    await unmount();
    throw error;
  }
}
