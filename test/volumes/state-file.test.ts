import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Logger } from '../../src/base/log.ts';
import { type State, StateFile } from '../../src/volumes/state-file.ts';

const STATE: State = {
  connection: 'c1',
  calls: ['call-1', 'call-2'],
  volumes: [
    { name: 'one', options: { cid: 'bafkqaaa' }, createdAt: '2026-01-01T00:00:00.000Z', resolved: null, mounts: {} },
    {
      name: 'two/sub',
      options: { cid: 'bafkqaaa', uid: '7' },
      createdAt: '2026-01-02T00:00:00.000Z',
      resolved: { cid: 'bafkqaaa', kind: 'file' },
      mounts: { id: { count: 2, lastCall: 'x' } },
    },
  ],
};

let directory: string;
let complaints: string[];
const logger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error: (_fields, message) => complaints.push(message),
  child: () => logger,
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-state-'));
  complaints = [];
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('the state file', () => {
  test('nothing saved is an empty state', () => {
    expect(new StateFile(directory, logger).load()).toEqual({ connection: null, volumes: [], calls: [] });
  });

  test('what is saved is loaded, by another process too', async () => {
    await new StateFile(directory, logger).save(STATE);
    expect(new StateFile(directory, logger).load()).toEqual(STATE);
    expect(complaints).toEqual([]);
  });

  test('a save that died half-way leaves the state before', async () => {
    const file = new StateFile(directory, logger);
    await file.save(STATE);
    writeFileSync(join(directory, 'volumes.json.new'), '{"version":1,"vol');
    expect(new StateFile(directory, logger).load()).toEqual(STATE);
  });

  test('cut off anywhere, it is set aside, loudly, and nothing throws', async () => {
    await new StateFile(directory, logger).save(STATE);
    const whole = readFileSync(join(directory, 'volumes.json'));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length - 3 }), (length) => {
        complaints = [];
        writeFileSync(join(directory, 'volumes.json'), whole.subarray(0, length));
        expect(new StateFile(directory, logger).load().volumes).toEqual([]);
        expect(complaints[0]).toMatch(/damaged .* set aside as .*volumes\.json\.damaged-/);
        const aside = readdirSync(directory).filter((name) => name.includes('.damaged-'));
        expect(readFileSync(join(directory, aside.at(-1) ?? ''))).toEqual(whole.subarray(0, length));
        for (const name of aside) rmSync(join(directory, name));
      }),
      { numRuns: 40 },
    );
  });

  test('one damaged record does not take the others with it', async () => {
    const file = new StateFile(directory, logger);
    await file.save(STATE);
    const text = readFileSync(join(directory, 'volumes.json'), 'utf8').replace('"count": 2', '"count": "two"');
    writeFileSync(join(directory, 'volumes.json'), text);
    expect(file.load()).toEqual({ ...STATE, volumes: [STATE.volumes[0]] });
    expect(complaints).toHaveLength(1);
    // Whoever dies before the next save has lost nothing either.
    expect(file.load().volumes).toEqual([STATE.volumes[0]]);
    await file.save({ connection: 'c1', volumes: [], calls: [] });
    const asides = readdirSync(directory).filter((name) => name.includes('.damaged-'));
    expect(asides.map((name) => readFileSync(join(directory, name), 'utf8'))).toContain(text);
  });

  test('a disk that does not answer fails a save in time, others at once, and works when it answers again', async () => {
    const file = new StateFile(directory, logger, { limitMs: 200 });
    await file.save(STATE);
    // Opening a pipe for writing waits for somebody who reads it, as opening a file does on a disk that hangs.
    const pipe = join(directory, 'volumes.json.new');
    execFileSync('mkfifo', [pipe]);
    const silent = { cause: { message: expect.stringMatching(/^the disk has not answered for \d+ s$/) } };
    await expect(file.save({ ...STATE, volumes: [] })).rejects.toMatchObject(silent);
    await expect(file.save({ ...STATE, volumes: [] })).rejects.toMatchObject(silent);
    expect(new StateFile(directory, logger).load()).toEqual(STATE);
    const reader = openSync(pipe, 'r');
    await vi.waitFor(() => file.save(STATE));
    closeSync(reader);
    expect(new StateFile(directory, logger).load()).toEqual(STATE);
  });

  test('a directory in the place of its own is not written to', async () => {
    const file = new StateFile(directory, logger);
    await file.save(STATE);
    renameSync(directory, `${directory}-aside`);
    mkdirSync(directory);
    await expect(file.save(STATE)).rejects.toMatchObject({
      code: 'INTERNAL',
      cause: { message: 'another directory is in its place' },
    });
    expect(readdirSync(directory)).toEqual([]);
    rmSync(directory, { recursive: true });
    renameSync(`${directory}-aside`, directory);
    await file.save(STATE);
  });

  test.each([
    ['an option that nobody knows', '"uid": "7"', '"size": "7"'],
    ['a reference that is none', '"cid": "bafkqaaa",\n        "uid"', '"cid": "bafk",\n        "uid"'],
    ['content that is no CID', '"cid": "bafkqaaa",\n        "kind"', '"cid": "?",\n        "kind"'],
  ])('a record with %s is damaged too', async (_what, from, to) => {
    const file = new StateFile(directory, logger);
    await file.save(STATE);
    const text = readFileSync(join(directory, 'volumes.json'), 'utf8');
    expect(text).toContain(from);
    writeFileSync(join(directory, 'volumes.json'), text.replace(from, to));
    expect(file.load().volumes).toEqual([STATE.volumes[0]]);
    expect(complaints[0]).toMatch(/1 of its 2 volumes cannot be read/);
  });

  test('a newer version is refused and left as it is', () => {
    const newer = '{"version": 2, "volumes": {"a": 1}}';
    writeFileSync(join(directory, 'volumes.json'), newer);
    expect(() => new StateFile(directory, logger).load()).toThrow(/version 2.*knows 1/);
    expect(readFileSync(join(directory, 'volumes.json'), 'utf8')).toBe(newer);
  });

  test('any bytes at all load as a state', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          writeFileSync(join(directory, 'volumes.json'), bytes);
          expect(Array.isArray(new StateFile(directory, logger).load().volumes)).toBe(true);
          for (const name of readdirSync(directory)) rmSync(join(directory, name));
        },
      ),
      { numRuns: 50 },
    );
  });
});
