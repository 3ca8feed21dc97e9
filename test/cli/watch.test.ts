/** The picture of `status --watch`: what a person must see first, whatever the terminal and the names are. */
import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import type { Output } from '../../src/cli/cli-parts.ts';
import { LiveScreen, type ScreenLine } from '../../src/cli/live-screen.ts';
import { Rates } from '../../src/cli/rate.ts';
import { watchText } from '../../src/cli/watch-text.ts';
import type { VolumeStatus } from '../../src/volumes/control-api.ts';
import { SAMPLE_STATUS, SAMPLE_VOLUME } from './support/sample-status.ts';

const STILL = { volume: () => 0, source: () => 0 };

function picture(volumes: readonly VolumeStatus[], pace = STILL, columns = 200): ScreenLine[] {
  return watchText(SAMPLE_STATUS, volumes, pace, columns);
}

test('who waits comes first, then what fails, then what is on its way; each in red as long as it lasts', () => {
  const volume = (name: string, more: Partial<VolumeStatus>): VolumeStatus => ({ ...SAMPLE_VOLUME, name, ...more });
  const waiting = { readers: 3, seconds: 42, for: 'bytes 0 to 4095 of bafkfoo' };
  const lines = picture([
    volume('whole', { state: 'complete', bytesCached: 4 * 1024 ** 2 }),
    volume('coming', {}),
    volume('broken', { state: 'failing', lastError: 'no source has block bafkbar', lastErrorSecondsAgo: 7 }),
    volume('stuck', { state: 'mounted', waiting }),
    volume('brisk', { waiting: { ...waiting, seconds: 0.3 } }),
  ]);
  const starts = lines.flatMap(({ text }) => /^(\w+) .*\[/.exec(text)?.[1] ?? []);
  expect(starts).toEqual(['stuck', 'broken', 'coming', 'brisk', 'whole']);
  const red = lines.filter(({ alarm }) => alarm).map(({ text }) => text.trim());
  expect(red[0]).toBe('WAITING: 3 readers, the longest for 42 s, on bytes 0 to 4095 of bafkfoo');
  expect(red[1]).toMatch(/^broken +failing +\[######\.{18}\] {2}25%/);
  expect(red[2]).toBe('last error: no source has block bafkbar (7 s ago)');
  expect(red[3]).toMatch(/^gateway https:\/\/gateway\.example +FAILING 2 min 5 s .*answered 500 \(3 s ago\)$/);
  expect(red).toHaveLength(4);
});

test('a bar is full, and says 100 %, for what is whole alone; it does not guess at what nobody knows', () => {
  const shown = (bytesCached: number, bytesTotal: number | null) =>
    picture([{ ...SAMPLE_VOLUME, bytesCached, bytesTotal, bytesToCome: bytesTotal && bytesTotal - bytesCached }], {
      volume: () => 1024,
      source: () => 0,
    })[2]?.text;
  expect(shown(999_999, 1_000_000)).toMatch(/\[#{23}\.\] {2}99% {2}977 KiB of 977 KiB, 1\.0 KiB\/s, 1 s left$/);
  expect(shown(1_000_000, 1_000_000)).toMatch(/\[#{24}\] 100% {2}977 KiB of 977 KiB, 1\.0 KiB\/s$/);
  expect(shown(0, 0)).toMatch(/\[#{24}\] 100% {2}0 B of 0 B/);
  expect(shown(2048, null)).toMatch(/\[\?\.{23}\] {3}\?% {2}2\.0 KiB here, 1\.0 KiB\/s$/);
});

test('the bar gives way: sizes and rate are seen at 80 columns, the time left where the name is short', () => {
  const pace = { volume: () => 1023 * 1024, source: () => 0 };
  const sizesOf = (here: number, of: number) => ({
    bytesCached: here * 1024 ** 2,
    bytesTotal: of * 1024 ** 2,
    bytesToCome: (of - here) * 1024 ** 2,
  });
  const line = (name: string, columns: number) =>
    picture([{ ...SAMPLE_VOLUME, name, ...sizesOf(600, 1023) }], pace, columns)[2]?.text ?? '';
  const sizes = '600 MiB of 1023 MiB, 1023 KiB/s';
  expect(line('x'.repeat(60), 80).slice(0, 79)).toMatch(new RegExp(`^x+…x+ {2}prefetching {3}58% {2}${sizes}`));
  expect(line('site', 80).slice(0, 79)).toMatch(new RegExp(`\\[#{5}\\.{5}\\] {2}58% {2}${sizes}`));
  expect(line('site', 100).slice(0, 99)).toMatch(new RegExp(`\\[#+\\.+\\] {2}58% {2}${sizes}, 7 min 3 s left$`));
  expect(line('x'.repeat(60), 100).slice(0, 99)).toMatch(new RegExp(`\\[#+\\.+\\] {2}58% {2}${sizes}`));
  expect(line('site', 200)).toMatch(/\[#{14}\.{10}\]/);
  // Narrower than that, the name goes too.
  expect(line('x'.repeat(60), 70).slice(0, 69)).toMatch(new RegExp(`${sizes}`));
});

test('a source that has no room for its last error beside it has it below, as red', () => {
  const lines = picture([], STILL, 80);
  expect(lines.at(-2)).toMatchObject({ text: expect.stringMatching(/^gateway .* 3$/), alarm: true });
  expect(lines.at(-1)).toEqual({ text: '  last error: answered 500 (3 s ago)', alarm: true });
  expect(lines.at(-3)?.text).not.toMatch(/LAST ERROR/);
});

test('fetched is told by why it was, with its source', () => {
  const lines = picture([SAMPLE_VOLUME]).map(({ text }) => text);
  expect(lines).toContain(
    '  latest from gateway https://gateway.example; fetched 300 KiB demand (3 blocks), 200 KiB readahead (2 blocks), ' +
      '100 KiB profile (1 block), 100 KiB background (1 block)',
  );
});

test('a cache that takes nothing is seen first', () => {
  const cache = { ...SAMPLE_STATUS.cache, trouble: 'nothing is cached: ENOSPC' };
  const [head] = watchText({ ...SAMPLE_STATUS, cache }, [], STILL, 200);
  expect(head).toMatchObject({ text: expect.stringContaining('10.0 GiB; nothing is cached: ENOSPC; '), alarm: true });
});

test('all that was fetched is seen at 80 columns, in as many lines as it takes', () => {
  const lines = picture([SAMPLE_VOLUME], STILL, 80).map(({ text }) => text);
  const at = lines.indexOf('  latest from gateway https://gateway.example');
  expect(lines.slice(at + 1, at + 3)).toEqual([
    '  fetched 300 KiB demand (3 blocks), 200 KiB readahead (2 blocks)',
    '    100 KiB profile (1 block), 100 KiB background (1 block)',
  ]);
});

test('the time left is of what will be fetched, and an error has its age', () => {
  const volume = { ...SAMPLE_VOLUME, bytesToCome: 1024 ** 2, lastError: 'no source has it', lastErrorSecondsAgo: 180 };
  const text = picture([volume], { volume: () => 1024 ** 2, source: () => 0 }).map((line) => line.text);
  expect(text[2]).toMatch(/1\.0 MiB of 4\.0 MiB, 1\.0 MiB\/s, 1 s left$/);
  expect(text).toContain('  last error: no source has it (3 min ago)');
});

test('the screen draws over what it drew, cuts lines, bounds their number, and lets nobody move the cursor', () => {
  const { output, taken } = capture({ columns: 20, rows: 5 });
  const screen = new LiveScreen(output, { colour: true });
  screen.draw([{ text: 'x'.repeat(40), alarm: true }, { text: 'evil \x1b[2J\nname' }]);
  expect(taken()).toBe(`\x1b[?25l\x1b[0J\x1b[31m${'x'.repeat(18)}…\x1b[39m\nevil ?[2J?name\n`);
  screen.draw(Array.from({ length: 9 }, (_, line) => ({ text: `line ${line}` })));
  expect(taken()).toBe('\x1b[2A\r\x1b[0Jline 0\nline 1\nline 2\n… and 6 more lines\n');
  screen.draw([]);
  screen.close();
  expect(taken()).toBe('\x1b[4A\r\x1b[0J\x1b[?25h');
});

test('NO_COLOR is kept to', () => {
  const { output, taken } = capture({});
  new LiveScreen(output, { colour: false }).draw([{ text: 'red', alarm: true }]);
  expect(taken()).toBe('\x1b[?25l\x1b[0Jred\n');
});

test('a rate settles at what comes, falls when nothing does, and survives a counter that begins anew', () => {
  const rates = new Rates();
  let bytes = 0;
  let rate = 0;
  for (let at = 0; at < 60_000; at += 500) {
    bytes += 500_000;
    rate = rates.look('a', bytes, at);
  }
  expect(rate).toBeGreaterThan(990_000);
  expect(rate).toBeLessThanOrEqual(1_000_000);
  for (let at = 60_000; at < 80_000; at += 500) rate = rates.look('a', bytes, at);
  expect(rate).toBeLessThan(2000);
  expect(rates.look('a', 0, 80_500)).toBeGreaterThanOrEqual(0);
  expect(rates.look('b', 1e9, 80_500)).toBe(0);
});

/** What was written since it was taken last. */
function capture(size: { columns?: number; rows?: number }): { output: Output; taken: () => string } {
  let written = '';
  const output = new Writable({
    write(chunk, _encoding, done) {
      written += String(chunk);
      done();
    },
  });
  const taken = () => {
    const text = written;
    written = '';
    return text;
  };
  return { output: Object.assign(output, size), taken };
}
