/**
 * The seam for `ipfs-volume mount` without a daemon: whoever composes the whole serves one directory by itself.
 *
 * The command line may not import the composition root, so it is handed in (`CliParts.loadServeDirectory`).
 */

interface ServeDirectoryOptions {
  /** Volume options as of `docker volume create -o`, `cid` and `path` excepted. */
  readonly volumeOptions: Readonly<Record<string, string>>;
  /** The configuration's environment: state directory, sources. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts the start; once the promise is fulfilled, `unmount` ends it. */
  readonly signal: AbortSignal;
}

export interface ServedDirectory {
  /** Fulfilled when the mount is gone, also where somebody else unmounted it; rejected where serving failed. */
  readonly ended: Promise<void>;
  /** Detaches the mount and frees everything; a busy mount is detached lazily. May be called twice. */
  unmount(): Promise<void>;
}

/**
 * Mounts `reference` at `directory` (absolute, existing; a file for a reference to one file) and resolves when it can
 * be read. @throws REFERENCE_INVALID, OPTION_INVALID, STATE_LOCKED, MOUNT_FAILED, and what the sources say of the root
 */
export type ServeDirectory = (
  reference: string,
  directory: string,
  options: ServeDirectoryOptions,
) => Promise<ServedDirectory>;
