/**
 * The FUSE connection as a daemon serves it: inherited from the supervisor, perhaps from another daemon before.
 *
 * What the kernel still knows of an earlier daemon comes first, before volumes are added and before a request is read.
 * Over fuse-native there is nothing to inherit: the daemon mounts by itself, and its mount dies with it.
 */
import { CodedError } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import type { IpfsFileSystem } from '../../src/fs/ipfs-file-system.ts';
import { serveConnection } from '../../src/fuse/kernel/kernel-transport.ts';
import type { NodeJournal } from '../../src/fuse/kernel/node-journal.ts';
import { libfuseTransport } from '../../src/fuse/libfuse/libfuse-transport.ts';
import { detachStaleMounts } from '../../src/fuse/stale-mounts.ts';
import type { MountedFileSystem } from '../../src/fuse/transport.ts';
import type { Config } from '../config.ts';
import { connectionFiles, loadNegotiated, saveNegotiated } from '../supervisor/connection-state.ts';
import { type DaemonEnvironment, FUSE_DESCRIPTOR } from '../supervisor/daemon-process.ts';

/** The kernel asks for INIT as soon as it is mounted. One that does not had asked a daemon that died before it answered. */
const INIT_LIMIT_MS = 10_000;

interface ServedMount extends Pick<MountedFileSystem, 'requestCounts' | 'ended'> {
  /**
   * Answers what cannot be asked for again by the next daemon, and takes no more of it. `oneMore` is called when a
   * request, whichever, must come for that to end.
   */
  drain(oneMore: () => void): Promise<void>;
}

export interface Inherited {
  /** Gives the file system what an earlier daemon kept of it. */
  begin(fileSystem: IpfsFileSystem): void;
  /** `onAnswer` is called once, at the first answer that the kernel takes. @throws MOUNT_FAILED */
  serve(fileSystem: IpfsFileSystem, onAnswer: () => void): Promise<ServedMount>;
}

/** `journal` is there on the kernel transport, and is what the file system tells of its nodes. */
export function serveInherited(
  config: Config,
  inherited: DaemonEnvironment,
  journal: NodeJournal | undefined,
  logger: Logger,
): Inherited {
  const options = { fsName: 'ipfs-volume', logger };
  const takeOver = inherited.IPFS_VOLUME_TAKE_OVER === '1';
  if (!journal) {
    return {
      begin: () => undefined,
      async serve(fileSystem, onAnswer) {
        if (takeOver) await detachStaleMounts(config.mountRoot, logger);
        const mounted = await libfuseTransport().mount(fileSystem, config.mountRoot, options);
        onAnswer();
        return { requestCounts: mounted.requestCounts, ended: mounted.ended, drain: async () => undefined };
      },
    };
  }
  const files = connectionFiles(inherited.IPFS_VOLUME_CONNECTION_DIRECTORY);
  const negotiated = loadNegotiated(files.negotiated);
  return {
    // A daemon that never answered INIT has told the kernel of no number.
    begin: (fileSystem) => journal.begin(fileSystem, negotiated !== undefined),
    async serve(fileSystem, onAnswer) {
      const served = serveConnection(
        fileSystem,
        config.mountRoot,
        {
          descriptor: FUSE_DESCRIPTOR,
          inherited: takeOver,
          ...(negotiated ? { negotiated } : {}),
          onNegotiated: (agreed) => saveNegotiated(files.negotiated, agreed),
          journalPath: files.inFlight,
          suspectsPath: files.suspects,
          suspectAll: inherited.IPFS_VOLUME_LAST_DEATH === 'silent',
          withoutResend: !config.resend,
          beforeAnswer: journal.keep,
          onFirstAnswer: onAnswer,
        },
        options,
      );
      const connection = await withinInitLimit(served);
      return {
        requestCounts: connection.requestCounts,
        ended: connection.ended,
        async drain(oneMore) {
          // What the kernel sends again to the next daemon needs no answer of this one.
          if (connection.negotiated.resend) return;
          const drained = connection.drain();
          oneMore();
          await drained;
        },
      };
    },
  };
}

async function withinInitLimit<T>(served: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new CodedError('MOUNT_FAILED', 'the kernel does not ask what can be served: mount it anew'));
  }, INIT_LIMIT_MS);
  try {
    return await Promise.race([served, late]);
  } finally {
    clearTimeout(timer);
  }
}
