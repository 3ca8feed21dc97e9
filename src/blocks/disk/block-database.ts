/**
 * The SQLite database that indexes the blocks of a directory and holds the small ones, and what its errors mean.
 *
 * One process has it, exclusively: then SQLite needs no memory shared with others (which a full disk can make deadly) and
 * takes no lock for each query. It is not mapped into memory either: an unreadable page of a mapping ends the process,
 * whereas a read that fails is an error like any other.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '../../base/errors.ts';

/**
 * Raised when an older program would misread the database. Not for a column that may be null: an older program asks for
 * those that it knows, and leaves the others out of what it adds.
 */
const VERSION = 1;
/** The same, by a program that raised it for the column `ends`. */
const KNOWN: ReadonlySet<number> = new Set([VERSION, 2]);
const FILE_NAME = 'blocks.db';
/** A process that was killed may take a moment to let go of its lock. */
const LOCK_WAIT_MS = 2000;

/** SQLite's primary result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;
/** Error, corrupt, constraint, mismatch, not a database. */
const DAMAGE: ReadonlySet<number> = new Set([1, 11, 19, 20, 26]);

export function databasePath(directory: string): string {
  return join(directory, FILE_NAME);
}

/**
 * Opens or makes the database in `directory` (made with 0700). `durable`: commits survive a power cut, not only a crash.
 * @throws STATE_LOCKED where another process has it, CONFIG_INVALID where a newer program wrote it, SQLite's error.
 */
export function openBlockDatabase(directory: string, durable: boolean): DatabaseSync {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(databasePath(directory), { timeout: LOCK_WAIT_MS });
  try {
    // Exclusive before WAL, vacuum before any table: later neither takes effect.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    checkVersion(database, directory);
    database.exec(`
      PRAGMA auto_vacuum = INCREMENTAL;
      PRAGMA journal_mode = WAL;
      PRAGMA journal_size_limit = 4194304;
      PRAGMA synchronous = ${durable ? 'FULL' : 'NORMAL'};
      PRAGMA cache_size = -8192;
    `);
    database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS block (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, checksums BLOB NOT NULL, data BLOB
      );
      CREATE TABLE IF NOT EXISTS doomed (id INTEGER PRIMARY KEY);
      CREATE TABLE IF NOT EXISTS total (
        only INTEGER PRIMARY KEY, blocks INTEGER NOT NULL, bytes INTEGER NOT NULL, file_bytes INTEGER NOT NULL,
        next_id INTEGER NOT NULL, closed INTEGER NOT NULL
      );
      INSERT OR IGNORE INTO total VALUES (1, 0, 0, 0, 1, 1);
      PRAGMA user_version = ${VERSION};
      COMMIT;
    `);
    addEnds(database);
  } catch (error) {
    database.close();
    if (sqliteCode(error) !== SQLITE_BUSY) throw error;
    throw new CodedError(
      'STATE_LOCKED',
      `the blocks in ${directory} are in use by another ipfs-volume: stop it first`,
      {
        cause: error,
      },
    );
  }
  return database;
}

/** @throws CONFIG_INVALID */
function checkVersion(database: DatabaseSync, directory: string): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_master').get() as { tables: number };
  if (KNOWN.has(version) || (version === 0 && tables === 0)) return;
  const advice =
    version > VERSION ? 'install the newer program again, or move the directory away' : 'move the directory away';
  throw new CodedError(
    'CONFIG_INVALID',
    `the blocks in ${directory} are of version ${version}, and this program knows ${VERSION}: ${advice}`,
  );
}

/** The column that the first programs did not have. */
function addEnds(database: DatabaseSync): void {
  const columns = database.prepare("SELECT name FROM pragma_table_info('block')").all();
  if (!columns.some(({ name }) => name === 'ends')) database.exec('ALTER TABLE block ADD COLUMN ends BLOB');
}

/**
 * True where the database itself is damaged, beyond what one block's checksums can tell: SQLite says so, a number is given
 * out twice, or a row holds what was never written (a RangeError, here and of `node:sqlite`).
 */
export function isDamaged(error: unknown): boolean {
  return error instanceof RangeError || DAMAGE.has(sqliteCode(error) ?? 0);
}

/** True for a full disk and an exhausted quota, whoever says so. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || sqliteCode(error) === SQLITE_FULL;
}

function sqliteCode(error: unknown): number | undefined {
  const { errcode } = error as { errcode?: number };
  // The extended codes have more above the lowest byte.
  return errcode === undefined ? undefined : errcode & 0xff;
}
