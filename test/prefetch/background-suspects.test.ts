/** Volumes of whose background work daemons end: remembered from process to process, told apart, and left alone in the end. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BackgroundSuspects } from '../../src/prefetch/background-suspects.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const FOREVER = new AbortController().signal;
const never = () => new Promise<never>(() => undefined);

let scratch: Scratch;
let clock: FakeClock;
let logger: RecordingLogger;
let open: BackgroundSuspects[];

beforeEach(() => {
  scratch = new Scratch();
  clock = new FakeClock();
  logger = new RecordingLogger();
  open = [];
});
afterEach(() => {
  for (const each of open) each.close();
  scratch[Symbol.dispose]();
});

/** The next process: the one before ended, by itself and without a word or by somebody's kill. */
function next(lastDiedSilently: boolean): BackgroundSuspects {
  const made = new BackgroundSuspects(scratch.at('file'), { lastDiedSilently, clock, logger });
  open.push(made);
  return made;
}

function run(suspects: BackgroundSuspects, root: string, work: () => Promise<unknown> = never): Promise<string> {
  const result = suspects.guard(root, FOREVER, work);
  return result.then(
    () => 'well',
    ({ message }) => message,
  );
}

/** Lets all that waits for the first seconds go on. */
async function later(): Promise<void> {
  await turns();
  clock.advance(10_000);
  await turns();
}

async function turns(): Promise<void> {
  for (let times = 0; times < 10; times++) await new Promise(setImmediate);
}

test('after three ends without a word its work is not begun again, and says why; a kill is no such end', async () => {
  void run(next(false), 'poison');
  for (const silent of [true, false, true]) {
    void run(next(silent), 'poison');
    await later();
  }
  const last = next(true);
  const begun = expect.unreachable;
  expect(await run(last, 'poison', begun)).toMatch(/^3 daemons ended while this volume was fetched in the background/);
  expect(logger.said('error')).toEqual(['a volume that daemons crash of is not fetched in the background any more']);
  expect(await run(last, 'other', async () => 1)).toBe('well');
});

test('an exception is written down by the process that ends of it', async () => {
  const first = next(false);
  void run(first, 'poison');
  void run(first, 'done', async () => 1);
  await turns();
  for (let ends = 0; ends < 3; ends++)
    (process as NodeJS.EventEmitter).emit('uncaughtExceptionMonitor', new Error('a defect'));
  const second = next(false);
  expect(await run(second, 'poison')).toMatch(/^3 daemons ended/);
  expect(await run(second, 'done', async () => 1)).toBe('well');
});

test('suspects run one after the other, after the first seconds, so that the next end tells them apart', async () => {
  const first = next(false);
  for (const root of ['a', 'poison', 'b']) void run(first, root);
  const second = next(true);
  const order: string[] = [];
  const noted = (root: string) => async () => void order.push(root);
  const a = run(second, 'a', noted('a'));
  void run(second, 'poison', () => {
    order.push('poison');
    return never();
  });
  void run(second, 'b', noted('b'));
  void run(second, 'unknown', noted('unknown'));
  await turns();
  expect(order).toEqual(['unknown']);
  await later();
  expect(await a).toBe('well');
  expect(order).toEqual(['unknown', 'a', 'poison']);
  const third = next(true);
  void run(third, 'poison');
  await later();
  const fourth = next(true);
  expect(await run(fourth, 'poison')).toMatch(/^3 daemons ended/);
  for (const root of ['a', 'b']) {
    const well = run(fourth, root, async () => 1);
    await later();
    expect(await well).toBe('well');
  }
});

test('one that waits for its turn can be ended', async () => {
  void run(next(false), 'a');
  const ended = new AbortController();
  const waiting = next(true).guard('a', ended.signal, expect.unreachable);
  await turns();
  ended.abort();
  await expect(waiting).rejects.toThrow();
});

test('a file that is damaged, or cannot be written, keeps nobody from anything', async () => {
  writeFileSync(scratch.at('file'), 'ended\nbegun \nwell x\nended poison\n\0\0begun y');
  expect(await run(next(true), 'y', async () => 1)).toBe('well');
  const nowhere = new BackgroundSuspects(scratch.at('no', 'file'), { lastDiedSilently: true, clock, logger });
  open.push(nowhere);
  expect(await run(nowhere, 'x', async () => 1)).toBe('well');
});
