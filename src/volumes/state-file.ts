/**
 * The state file: every volume with its options and mounts, as JSON, so that a person can read and mend it.
 *
 * What always holds:
 * - It is replaced whole: written beside, synced, renamed, and the directory synced. A crash leaves the old or the new.
 * - A file that cannot be read is set aside under a name with its time, never overwritten, and said loudly. Of a file
 *   that parses, each record is taken by itself: one that is damaged, or whose options nobody could read, does not take
 *   the others with it.
 * - A file of a newer version is refused: an older program would drop what it does not know.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseVolumeOptions } from './volume-options.ts';
import type { MountCount, ResolvedContent, VolumeRecord } from './volume-record.ts';

/** Raised when an older program would misread the file. */
const VERSION = 1;
const FILE_NAME = 'volumes.json';

export interface State {
  /** The FUSE connection to which the mount counts belong; null where none had been made. */
  readonly connection: string | null;
  readonly volumes: readonly VolumeRecord[];
}

export class StateFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #logger: Logger;

  /** The file in `directory`, which is made with 0700 where it is missing. */
  constructor(directory: string, logger: Logger) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#path = join(directory, FILE_NAME);
    this.#logger = logger;
  }

  /** What was saved last; empty where nothing was. @throws CONFIG_INVALID for a file of a newer version. */
  load(): State {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { connection: null, volumes: [] };
      throw new CodedError('INTERNAL', `the state file ${this.#path} cannot be read`, { cause: error });
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      return this.#setAside('it is not JSON');
    }
    if (!isObject(parsed) || typeof parsed.version !== 'number') return this.#setAside('it has no version');
    if (parsed.version > VERSION) {
      throw new CodedError(
        'CONFIG_INVALID',
        `the state file ${this.#path} is of version ${parsed.version}, and this program knows ${VERSION}: install the newer program again, or move the file away`,
      );
    }
    if (!Array.isArray(parsed.volumes)) return this.#setAside('it has no list of volumes');
    const connection = typeof parsed.connection === 'string' ? parsed.connection : null;
    const records = parsed.volumes.map(readRecord);
    const volumes = records.filter((record) => record !== undefined);
    const damaged = records.length - volumes.length;
    if (damaged > 0)
      this.#setAside(`${damaged} of its ${records.length} volumes cannot be read; the others are kept`, true);
    return { connection, volumes };
  }

  /** Resolves, by returning, once the state is on the disk. @throws STORE_FULL, INTERNAL; the old state then stands. */
  save(state: State): void {
    const text = `${JSON.stringify({ version: VERSION, ...state }, null, 2)}\n`;
    const temporary = `${this.#path}.new`;
    try {
      writeSynced(temporary, text);
      renameSync(temporary, this.#path);
      syncDirectory(this.#directory);
    } catch (error) {
      rmSync(temporary, { force: true });
      const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
      throw new CodedError(full ? 'STORE_FULL' : 'INTERNAL', `the state cannot be saved in ${this.#directory}`, {
        cause: error,
      });
    }
  }

  /** `inPart`: the file stays as well, until the next save. What is kept of it would be nowhere on the disk before that. */
  #setAside(why: string, inPart = false): State {
    const aside = `${this.#path}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
    if (inPart) {
      // As a rename would, in place of one of the same millisecond. A link takes no space, which a full disk has not.
      rmSync(aside, { force: true });
      linkSync(this.#path, aside);
    } else renameSync(this.#path, aside);
    this.#logger.error({ file: aside }, `the state file was damaged (${why}) and is set aside as ${aside}`);
    return { connection: null, volumes: [] };
  }
}

function writeSynced(path: string, text: string): void {
  const file = openSync(path, 'w', 0o600);
  try {
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** A record whose every field is what it should be; `undefined` for any other. */
function readRecord(value: unknown): VolumeRecord | undefined {
  if (!isObject(value)) return undefined;
  const { name, options, createdAt, resolved, mounts } = value;
  if (typeof name !== 'string' || name === '' || typeof createdAt !== 'string' || !isStrings(options)) return undefined;
  if (resolved !== null && !isResolved(resolved)) return undefined;
  if (!isObject(mounts) || !Object.values(mounts).every(isCount)) return undefined;
  if (!isMeaningful(name, options, resolved)) return undefined;
  return { name, options, createdAt, resolved, mounts: mounts as Record<string, MountCount> };
}

/** False where options or content cannot be read: every call that meets such a volume, and the start, would fail. */
function isMeaningful(name: string, options: Record<string, string>, resolved: ResolvedContent | null): boolean {
  try {
    parseVolumeOptions(name, options, { prefetch: 'auto', timeoutMs: 1 });
    if (resolved) CID.parse(resolved.cid);
    return true;
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((item) => typeof item === 'string');
}

function isResolved(value: unknown): value is ResolvedContent {
  return isObject(value) && typeof value.cid === 'string' && (value.kind === 'file' || value.kind === 'directory');
}

function isCount(value: unknown): value is MountCount {
  if (!isObject(value)) return false;
  const { count, lastCall } = value;
  return Number.isSafeInteger(count) && (count as number) > 0 && (lastCall === null || typeof lastCall === 'string');
}
