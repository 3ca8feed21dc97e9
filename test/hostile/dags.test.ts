/**
 * Hostile DAGs through the whole file system, each in a process of its own, so that what it costs can be seen: every
 * question is answered, or refused by name, within a bound of time and of memory that the claims have no part in.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { HOSTILE } from './support/hostile-dags.ts';

const PROGRAM = fileURLToPath(new URL('support/try-hostile-dag.ts', import.meta.url));
/** Against hangs; what takes longest is the making of the DAG. */
const LIMIT_MS = 60_000;
/** An empty process of this kind has 95 MiB, and blocks of a quarter of a million links take some to make. */
const MAX_PEAK_BYTES = 512 * 1024 ** 2;

/** What may come of a question: a number, `fine`, or one of these; INTERNAL above all may not. */
const OUTCOME = /^(\d+|fine|DAG_INVALID|IS_A_DIRECTORY|NOT_A_DIRECTORY|ENTRY_NOT_FOUND|BAD_HANDLE|BLOCK_UNAVAILABLE)$/;

const EXPECTED: Readonly<Record<string, Record<string, string>>> = {
  'a file that claims 2^63 bytes': { lookup: 'DAG_INVALID' },
  'a file of 2^53 - 1 bytes in one block of nine': { attributes: String(2 ** 53 - 1), 'read at 0': 'DAG_INVALID' },
  'a file whose sizes lie': { attributes: '30', 'read at 0': 'DAG_INVALID' },
  'a file that fans out to 2^44 bytes through shared links': {
    attributes: String(2 ** 44),
    'read at 1099511627776': '1048576',
  },
  'a file that fans out by a thousand a level': { 'read at 1099511627776': '1048576' },
  'a chain of 20,000 levels': { 'read at 0': 'DAG_INVALID' },
  'a file of blocks of one byte': { 'read at 0': 'DAG_INVALID' },
  'a directory of a quarter of a million equal names': { ls: '1', 'ls -l': '1' },
  'a directory of names that cannot be': { ls: '0' },
  'a directory that contains itself by a wrong hash': { ls: '1', 'look-up 0': 'BLOCK_UNAVAILABLE' },
  'a directory in a directory, 20,000 times': { walk: '5000' },
  'shards that link to each other and pose as billions': { ls: 'DAG_INVALID' },
  'a shard whose entries stand in the wrong slots': { ls: 'DAG_INVALID' },
  'a shard of the wrong hash function': { lookup: 'DAG_INVALID' },
  'a shard of a fan-out of 2^31': { lookup: 'DAG_INVALID' },
  'a symlink of a megabyte': { ls: '1', 'look-up 0': 'DAG_INVALID' },
};

test.concurrent.each(Object.keys(HOSTILE))('%s', async (name) => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, name], { timeout: LIMIT_MS });
  const { peakBytes, outcomes } = JSON.parse(stdout) as { peakBytes: number; outcomes: Record<string, string> };
  expect(outcomes).toMatchObject(EXPECTED[name] ?? {});
  for (const outcome of Object.values(outcomes)) expect(outcome).toMatch(OUTCOME);
  expect(peakBytes).toBeLessThan(MAX_PEAK_BYTES);
});
