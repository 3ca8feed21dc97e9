import { CID } from 'multiformats/cid';
import { beforeEach, expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { FailureLog } from '../../src/fs/failure-log.ts';
import { MountedVolume } from '../../src/fs/mounted-volume.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

let clock: FakeClock;
let logger: RecordingLogger;
let log: FailureLog;

beforeEach(() => {
  clock = new FakeClock();
  logger = new RecordingLogger();
  log = new FailureLog(logger, undefined, (delayMs, run) => clock.schedule(delayMs, run));
});

function volume(name: string): MountedVolume {
  const owner = { uid: 0, gid: 0, fileMode: 0o444, dirMode: 0o555 };
  return new MountedVolume({ name, root: CID.parse('bafkqaaa'), timeoutMs: 1000, ...owner }, owner, 1);
}

const silence = (block: string) =>
  new CodedError('BLOCK_TIMEOUT', `block ${block} did not come within 60 s (a: no answer yet)`);
const said = () => logger.lines.map(({ level, message, fields }) => ({ level, message, ...fields }));
const line = (name: string, what: string, block: string, failures: number) => ({
  level: 'warn',
  message: 'a reader got an error instead of content',
  volume: name,
  what,
  code: 'BLOCK_TIMEOUT',
  error: `block ${block} did not come within 60 s (a: no answer yet)`,
  failures,
});

test('one line a volume at once, and one in half a minute with how many there were', async () => {
  const [v, w] = [volume('v'), volume('w')];
  log.report(v, () => 'first', silence('b1'));
  for (let index = 0; index < 1000; index++) log.report(v, () => `read ${index}`, silence('b2'));
  log.report(w, () => 'other', silence('b3'));
  expect(said()).toEqual([line('v', 'first', 'b1', 1), line('w', 'other', 'b3', 1)]);
  await clock.advance(30_000);
  expect(said().slice(2)).toEqual([line('v', 'read 999', 'b2', 1000)]);
  log.report(w, () => 'later', silence('b4'));
  expect(said().slice(3)).toEqual([line('w', 'later', 'b4', 1)]);
  await clock.advance(60_000);
  expect([said().length, clock.timers]).toEqual([4, 0]);
  expect([v.counters.errors, w.counters.errors, v.failing]).toEqual([1001, 2, true]);
});

test.each(['ABORTED', 'ENTRY_NOT_FOUND', 'NOT_A_DIRECTORY', 'BAD_HANDLE'] as const)('%s is no failure', (code) => {
  const v = volume('v');
  log.report(v, () => 'it', new CodedError(code, 'an answer'));
  expect([said(), v.failing, clock.timers]).toEqual([[], false, 0]);
});
