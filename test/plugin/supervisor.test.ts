/** The supervisor over daemons that a test plays: real processes, no FUSE, its patience cut short. */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RestartPolicy } from '../../plugin/supervisor/restart-policy.ts';
import { Supervisor } from '../../plugin/supervisor/supervisor.ts';
import type { SupervisorOptions } from '../../plugin/supervisor/supervisor-options.ts';
import { type Logger, silentLogger } from '../../src/base/log.ts';
import { until } from '../support/daemon.ts';

const PROGRAM = new URL('../support/played-daemon.ts', import.meta.url).pathname;
const FOREVER = new AbortController().signal;
/** What a daemon that is not to be killed may take to start, or to answer a ping, on a machine that does other things too. */
const PATIENT = { pingIntervalMs: 1000, startLimitMs: 20_000 };
/** Where one is to be killed. */
const IMPATIENT = { pingIntervalMs: 50, startLimitMs: 2500 };

/** Five seconds are promised; as many again are for such a machine. */
const STOP_LIMIT_MS = 10_000;

interface Start {
  readonly atMs: number;
  readonly pid: number;
  readonly takeOver: string;
  readonly lastDeath: string;
}

let directory: string;
let log: string;
let said: string[];
let detached: number;
let poked: number;
let givenBack: number;
let supervisor: Supervisor | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'supervisor-'));
  log = join(directory, 'log');
  said = [];
  detached = 0;
  poked = 0;
  givenBack = 0;
});
afterEach(async () => {
  await supervisor?.stop();
  supervisor = undefined;
  rmSync(directory, { recursive: true, force: true });
});

function supervise(play: string, options: Partial<SupervisorOptions> = {}) {
  const note = (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`);
  const made = new Supervisor({
    daemonCommand: [process.execPath, PROGRAM, play, log],
    runDirectory: directory,
    connection: {
      descriptor: undefined,
      id: 'c1',
      poke: () => void poked++,
      giveBack: () => void givenBack++,
      detach: async () => void detached++,
    },
    logger: { ...silentLogger(), error: note, warn: note, info: note } as Logger,
    outputs: { log: { isPipe: true, write: () => {}, written: async () => {} }, errors: { write: () => {} } },
    patience: PATIENT,
    ...options,
  });
  made.start();
  supervisor = made;
  return { made, next: (deadSocket?: string) => made.nextDaemon(FOREVER, deadSocket) };
}

function starts(): Start[] {
  if (!existsSync(log)) return [];
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Start);
}

describe('when daemons die before they have answered', () => {
  test('the pauses grow up to a bound, and then it is over; one that answered is followed at once', () => {
    const policy = new RestartPolicy({ firstPauseMs: 250, longestPauseMs: 1500, maxFruitlessStarts: 6 });
    const pauses = (...answers: boolean[]) => answers.map((answered) => policy.afterDeath(answered));
    expect(pauses(false, false, true, true, true)).toEqual([250, 500, 0, 0, 0]);
    expect(pauses(false, false, false, false, false, false)).toEqual([250, 500, 1000, 1500, 1500, undefined]);
  });

  test('the supervisor says why, with their last words, tells who waits, detaches, and ends', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 100, longestPauseMs: 10_000, maxFruitlessStarts: 4 });
    const { next, made } = supervise('dies', { policy });
    const waiting = expect(next()).rejects.toThrow('ipfs-volume is stopping');
    expect(await made.ended).toBe('gave-up');
    await waiting;
    await expect(next()).rejects.toThrow('ipfs-volume is stopping');
    const times = starts();
    expect(times.map(({ takeOver }) => takeOver)).toEqual(['0', '1', '1', '1']);
    const pauses = times.slice(1).map(({ atMs }, index) => atMs - (times[index]?.atMs ?? 0));
    expect(pauses.map((pauseMs, index) => pauseMs >= 100 * 2 ** index)).toEqual([true, true, true]);
    expect(said.at(-1)).toContain('giving up: 4 daemons in a row died before they answered a request (exit code 3)');
    expect(said.at(-1)).toContain('these are my last words');
    expect(detached).toBe(1);
  });

  test('a program that cannot be started is such a death', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 1, longestPauseMs: 1, maxFruitlessStarts: 3 });
    const { made } = supervise('', { policy, daemonCommand: ['/nowhere/at/all'] });
    expect(await made.ended).toBe('gave-up');
    expect(said.at(-1)).toMatch(/3 daemons .*could not be started: .*ENOENT/);
  });

  test('so is a machine that has no descriptors left: it goes on when there are some', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 20, longestPauseMs: 20, maxFruitlessStarts: 1000 });
    const { next } = supervise('serves', { policy });
    const first = await next();
    const [{ pid }] = starts() as [Start];
    const taken = takeAllDescriptors();
    try {
      process.kill(pid, 'SIGKILL');
      await until('it cannot be started', () => said.some((line) => line.includes('could not be started')));
    } finally {
      for (const descriptor of taken) closeSync(descriptor);
    }
    expect(await next(first)).not.toBe(first);
  });

  test('one that does not get ready is killed, and followed', async () => {
    supervise('unready', { patience: IMPATIENT });
    await until('another was started', () => starts().length > 1);
    expect(said.join('\n')).toContain('the daemon is not ready after 2.5 s: killing it');
  });

  test('one that a silent disk holds up does not count: it is waited for, the log and who calls are told', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 1, longestPauseMs: 1, maxFruitlessStarts: 2 });
    const { made } = supervise('held', { policy, patience: IMPATIENT });
    await until('more were started than may die', () => starts().length > 3);
    expect(made.waitsFor).toBe('the disk of the state directory /held does not answer');
    expect(said.join('\n')).toContain('the disk of the state directory does not answer: waiting for it');
    expect(said.join('\n')).not.toContain('giving up');
  });

  test('one that waits for such a disk and says so is not killed', async () => {
    const { made } = supervise('patient', { patience: IMPATIENT });
    const waitedSeconds = () =>
      Number(/^the disk .* \/held has not answered for (\d+) s$/.exec(made.waitsFor ?? '')?.[1]);
    await until('it has waited for longer than a start may take', () => waitedSeconds() > 3);
    expect(starts()).toHaveLength(1);
    expect(said.filter((line) => line.includes('has not answered'))).toHaveLength(1);
  });

  test('one that takes over a large state in one turn, and says how it goes on, is not killed', async () => {
    const { next } = supervise('restores', { patience: { ...PATIENT, startLimitMs: 5000 } });
    await next();
    expect(starts()).toHaveLength(1);
  });

  test('of what refuses the state, once one has served, there is no end: it is said once, and waited for', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 1, longestPauseMs: 1, maxFruitlessStarts: 2 });
    const held: string[] = [];
    const state = { hold: async () => void held.push('held'), letGo: () => void held.push('let go') };
    const { made, next } = supervise('refused', { policy, state });
    const socket = await next();
    process.kill(starts()[0]?.pid ?? 0, 'SIGKILL');
    await until('more were started than may die', () => starts().length > 4);
    expect(made.waitsFor).toBe('the disk is gone');
    expect(made.silence).toBeUndefined();
    expect(held.slice(0, 4)).toEqual(['held', 'let go', 'held', 'let go']);
    writeFileSync(`${log}.mended`, '');
    expect(await next(socket)).not.toBe(socket);
    expect(made.waitsFor).toBeUndefined();
    const lines = said.join('\n');
    expect(lines.split('the state cannot be used, and no daemon serves until it can').length - 1).toBe(1);
    expect(lines).toContain('the state can be used again');
    expect(givenBack).toBeGreaterThan(3);
  });

  test('what refuses the state from the start ends the supervisor, which says what it was', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 1, longestPauseMs: 1, maxFruitlessStarts: 3 });
    const { made } = supervise('refuses', { policy });
    expect(await made.ended).toBe('gave-up');
    expect(said.at(-1)).toContain('3 daemons in a row died before they answered a request (the disk is gone)');
  });

  test('one that found its connection ended is the last', async () => {
    const { made } = supervise('lost');
    expect(await made.ended).toBe('gave-up');
    expect(starts().length).toBe(1);
    expect(said.at(-1)).toContain('the mount is gone');
  });
});

describe('a daemon that served', () => {
  test('may die as often as it likes: the next one is there at once, and nothing of it stays', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 60_000, longestPauseMs: 60_000, maxFruitlessStarts: 2 });
    const { next, made } = supervise('serves', { policy });
    let socket = await next();
    for (let deaths = 0; deaths < 5; deaths++) {
      made.answered(socket);
      process.kill(starts().at(-1)?.pid ?? 0, 'SIGKILL');
      socket = await next(socket);
    }
    expect(starts().length).toBe(6);
    await until(
      'their sockets are gone',
      () => readdirSync(directory).filter((name) => name.endsWith('.sock')).length === 1,
    );
  });

  test('is seen to live by its answers to pings alone', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 60_000, longestPauseMs: 60_000, maxFruitlessStarts: 2 });
    const { next } = supervise('serves', { policy, patience: { ...PATIENT, pingIntervalMs: 250 } });
    const socket = await next();
    // Pings follow each other: at the second one the first has been answered.
    await until('it was asked twice', () => existsSync(`${log}.pings`) && statSync(`${log}.pings`).size > 1);
    process.kill(starts()[0]?.pid ?? 0, 'SIGKILL');
    expect(await next(socket)).not.toBe(socket);
  });

  test.each(['stuck', 'serves'])('is killed when it does not move any more (%s, or stopped)', async (play) => {
    const { next } = supervise(play, { patience: IMPATIENT });
    const socket = await next();
    if (play === 'serves') process.kill(starts()[0]?.pid ?? 0, 'SIGSTOP');
    expect(await next(socket)).not.toBe(socket);
    expect(said.join('\n')).toContain('the daemon has not moved for 0.2 s: killing it');
  });

  test.each([
    ['aborts', 'silent'],
    ['stuck', 'silent'],
    ['killed', 'other'],
    ['dies', 'other'],
  ])('tells the next daemon how the one before ended: %s is %s', async (play, lastDeath) => {
    const policy = new RestartPolicy({ firstPauseMs: 1, longestPauseMs: 1, maxFruitlessStarts: 100 });
    supervise(play, { policy, patience: { ...PATIENT, pingIntervalMs: 50 } });
    await until('three have started', () => starts().length > 2);
    expect(starts().map((start) => start.lastDeath)).toEqual(
      starts().map((_, index) => (index === 0 ? 'other' : lastDeath)),
    );
  });

  test('makes room when it is asked to, which is no death; calls wait meanwhile', async () => {
    const policy = new RestartPolicy({ firstPauseMs: 60_000, longestPauseMs: 60_000, maxFruitlessStarts: 1 });
    const { next, made } = supervise('serves', { policy });
    const socket = await next();
    const replaced = [made.replace(), made.replace()];
    const after = await next();
    expect(after).not.toBe(socket);
    await Promise.all(replaced);
    expect(starts().length).toBe(2);
    expect(poked).toBe(1);
    expect(said.join('\n')).not.toContain('died');
  });

  test('ends at SIGTERM, or by SIGKILL when it does not; whoever waits for it is told at once', async () => {
    const { next, made } = supervise('stubborn');
    const socket = await next();
    const waiting = expect(next(socket)).rejects.toThrow('ipfs-volume is stopping');
    const before = performance.now();
    const stopping = made.stop();
    await waiting;
    await stopping;
    expect(performance.now() - before).toBeLessThan(STOP_LIMIT_MS);
    expect(await made.ended).toBe('stopped');
    expect(() => process.kill(starts()[0]?.pid ?? 0, 0)).toThrow('ESRCH');
    expect(detached).toBe(1);
  });

  test('a mount that does not go does not keep the supervisor', async () => {
    const never = new Promise<void>(() => undefined);
    const { next, made } = supervise('serves', {
      connection: {
        descriptor: undefined,
        id: 'c',
        poke: () => undefined,
        giveBack: () => undefined,
        detach: () => never,
      },
    });
    await next();
    await made.stop();
    expect(await made.ended).toBe('stopped');
  });
});

/** Opens the null device until the process may not open any more. */
function takeAllDescriptors(): number[] {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    return taken;
  }
}
