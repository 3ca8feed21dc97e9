/** Volumes of whose background work daemons end: remembered from process to process, told apart, and left alone in the end. */
import { statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BackgroundSuspects } from '../../src/prefetch/background-suspects.ts';
import { Scratch } from '../cli/support/scratch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const FOREVER = new AbortController().signal;
/** What a pass that did not bring all of it gives. */
const PART = 'a part';
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
  const result = suspects.guard(root, FOREVER, work, (brought) => brought !== PART);
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

test('one that waits can be ended, for the first seconds as for its turn, and keeps nobody behind it', async () => {
  const first = next(false);
  for (const root of ['a', 'b', 'c']) void run(first, root);
  const second = next(true);
  const guard = (root: string, signal: AbortSignal) => second.guard(root, signal, expect.unreachable, () => true);
  const early = new AbortController();
  const waiting = guard('a', early.signal);
  await turns();
  early.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
  void run(second, 'a');
  await later();
  const late = new AbortController();
  const queued = guard('b', late.signal);
  const behind = run(second, 'c', async () => 1);
  await turns();
  late.abort(new Error('unmounted'));
  await expect(queued).rejects.toMatchObject({ code: 'ABORTED' });
  // Who goes on for long lets the next one begin beside it.
  clock.advance(6 * 60_000);
  expect(await behind).toBe('well');
});

test('a pass that brought a part of it says nothing of the rest: it stays suspect', async () => {
  void run(next(false), 'poison');
  for (let ends = 1; ends < 3; ends++) {
    const each = next(true);
    const part = run(each, 'poison', async () => PART);
    await later();
    expect(await part).toBe('well');
    void run(each, 'poison');
    await later();
  }
  expect(await run(next(true), 'poison')).toMatch(/^3 daemons ended/);
});

test('the file stays small however often work begins and ends, and has all that it is for', async () => {
  void run(next(false), 'poison');
  const second = next(true);
  void run(second, 'poison');
  await later();
  for (let passes = 0; passes < 2000; passes++) await run(second, `root-of-some-length-${passes}`, async () => 1);
  expect(statSync(scratch.at('file')).size).toBeLessThan(80 * 1024);
  const third = next(true);
  void run(third, 'poison');
  await later();
  expect(await run(next(true), 'poison')).toMatch(/^3 daemons ended/);
});

test('a file that is damaged, or cannot be written, keeps nobody from anything', async () => {
  writeFileSync(scratch.at('file'), 'ended\nbegun \nwell x\nended poison\n\0\0begun y');
  expect(await run(next(true), 'y', async () => 1)).toBe('well');
  const nowhere = new BackgroundSuspects(scratch.at('no', 'file'), { lastDiedSilently: true, clock, logger });
  open.push(nowhere);
  expect(await run(nowhere, 'x', async () => 1)).toBe('well');
});
