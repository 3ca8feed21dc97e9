/** What `prefetch` says where there is no terminal. */
import { expect, test } from 'vitest';
import { reportProgress } from '../../src/cli/report-progress.ts';
import { SAMPLE_STATUS, SAMPLE_VOLUME } from './support/sample-status.ts';

test('a line now and then, with what fails, until it is ended', async () => {
  const written: string[] = [];
  const ended = new AbortController();
  let asked = 0;
  const daemon = {
    status: async () => ({
      ...SAMPLE_STATUS,
      volumes: [{ ...SAMPLE_VOLUME, name: 'v', bytesTotal: asked++ === 0 ? null : SAMPLE_VOLUME.bytesTotal }],
    }),
  };
  const write = (text: string) => {
    written.push(text);
    if (written.length === 2) ended.abort();
    return true;
  };
  await reportProgress(daemon, 'v', { write } as never, 1, ended.signal);
  const failing = '; gateway https://gateway.example FAILING 2 min 5 s: answered 500 (3 s ago)\n';
  expect(written).toEqual([`v: 1.0 MiB here, of a size not known yet${failing}`, `v: 1.0 MiB of 4.0 MiB${failing}`]);
  const missing = reportProgress(daemon, 'w', { write } as never, 1, new AbortController().signal);
  await expect(missing).rejects.toThrow('no such volume: w');
});
