/**
 * The state file: every volume with its options and mounts, as JSON, so that a person can read and mend it.
 *
 * What always holds:
 * - It is replaced whole: written beside, synced, renamed, and the directory synced. A crash leaves the old or the new.
 * - A file that cannot be read is set aside under a name with its time, never overwritten, and said loudly. Of a file
 *   that parses, each record is taken by itself: one that is damaged, or whose options nobody could read, does not take
 *   the others with it.
 * - A file of a newer version is refused: an older program would drop what it does not know.
 * - A disk that does not answer holds up who saves, for a bounded time, and nobody else: other threads wait for it.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { CodedError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { parseVolumeOptions } from './volume-options.ts';
import type { MountCount, ResolvedContent, VolumeRecord } from './volume-record.ts';

/** Raised when an older program would misread the file. */
const VERSION = 1;
const FILE_NAME = 'volumes.json';
/** A disk that is busy takes a second or two; the engine gives a call one minute at the least, and its users less. */
const SAVE_LIMIT_MS = 5000;

const EMPTY: State = { connection: null, volumes: [], calls: [] };

export interface State {
  /** The FUSE connection to which the mount counts belong; null where none had been made. */
  readonly connection: string | null;
  readonly volumes: readonly VolumeRecord[];
  /** The latest calls that had their effect, by the name that the relay gives them. */
  readonly calls: readonly string[];
}

export interface StateFileOptions {
  readonly limitMs?: number;
}

export class StateFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #logger: Logger;
  readonly #limitMs: number;
  /** Of the directory: where its disk was taken away, another one, or none, is in its place. */
  readonly #inode: number;
  /** Since when the disk has not answered a write; undefined where none is under way. */
  #writingSinceMs: number | undefined;

  /** The file in `directory`, which is made with 0700 where it is missing. */
  constructor(directory: string, logger: Logger, { limitMs = SAVE_LIMIT_MS }: StateFileOptions = {}) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
    this.#path = join(directory, FILE_NAME);
    this.#logger = logger;
    this.#limitMs = limitMs;
    this.#inode = statSync(directory).ino;
  }

  /** What was saved last; empty where nothing was. @throws CONFIG_INVALID for a file of a newer version. */
  load(): State {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY;
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
    const calls = Array.isArray(parsed.calls) ? parsed.calls.filter((call) => typeof call === 'string') : [];
    return { connection, volumes, calls };
  }

  /**
   * Resolves once the state is on the disk. One at a time. @throws STORE_FULL, INTERNAL; the old state then stands, but for
   * a disk that did not answer in time: what it does when it answers again is known only after another save.
   */
  async save(state: State): Promise<void> {
    const text = `${JSON.stringify({ version: VERSION, ...state }, null, 2)}\n`;
    try {
      if (this.#writingSinceMs !== undefined) throw silence(this.#writingSinceMs);
      await this.#withinLimit(this.#replace(text));
    } catch (error) {
      const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '');
      throw new CodedError(full ? 'STORE_FULL' : 'INTERNAL', `the state cannot be saved in ${this.#directory}`, {
        cause: error,
      });
    }
  }

  async #replace(text: string): Promise<void> {
    const temporary = `${this.#path}.new`;
    if ((await stat(this.#directory)).ino !== this.#inode) throw new Error('another directory is in its place');
    try {
      await writeSynced(temporary, text);
      await rename(temporary, this.#path);
      await syncDirectory(this.#directory);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async #withinLimit(work: Promise<void>): Promise<void> {
    const sinceMs = performance.now();
    this.#writingSinceMs = sinceMs;
    const ended = () => {
      this.#writingSinceMs = undefined;
    };
    work.then(ended, ended);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(silence(sinceMs)), this.#limitMs);
    try {
      await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
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
    return EMPTY;
  }
}

function silence(sinceMs: number): Error {
  return new Error(`the disk has not answered for ${Math.ceil((performance.now() - sinceMs) / 1000)} s`);
}

async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
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
