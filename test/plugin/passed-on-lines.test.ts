/** What a daemon writes is passed on by whole lines, however it comes; only a line longer than any of ours comes in pieces. */
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { passOnLines } from '../../plugin/supervisor/daemon-words.ts';

const LONGEST = 65_536;

/** What was written each time, of what came in these chunks. */
async function passedOn(chunks: readonly string[]): Promise<string[]> {
  const written: string[] = [];
  const from = new PassThrough();
  passOnLines(from, { write: (lines) => written.push(lines) });
  for (const chunk of chunks) {
    from.write(chunk);
    await new Promise(setImmediate);
  }
  from.end();
  await new Promise((resolve) => from.once('end', resolve));
  return written;
}

it('comes by whole lines, also where more of them come at once than the longest may measure', async () => {
  const lines = Array.from({ length: 2000 }, (_, index) => `${JSON.stringify({ index, text: 'x'.repeat(90) })}\n`).join(
    '',
  );
  const cuts = [0, 50, 50 + LONGEST, 50 + 2 * LONGEST, lines.length];
  const written = await passedOn(cuts.slice(1).map((end, index) => lines.slice(cuts[index], end)));
  expect(written.join('')).toBe(lines);
  for (const piece of written) expect(piece.at(-1)).toBe('\n');
});

it('holds no more of one without an end than that, and ends the last one', async () => {
  const long = 'x'.repeat(LONGEST - 1);
  expect(await passedOn([long, 'yy', 'z\nlast'])).toEqual([`${long}yy`, 'z\n', 'last\n']);
});
