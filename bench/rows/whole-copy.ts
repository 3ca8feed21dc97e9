/**
 * Row 1's peer: the whole volume copied by `ipfs get` over 100 Mbit/s and 50 ms, and the programs started from the copy. It
 * takes minutes, so it is done once.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Benchmark, Figures } from '../benchmark.ts';
import { run } from '../child.ts';
import { LINKS } from '../link.ts';
import { startReader, withOrigin } from '../origin.ts';
import { makeProgramVolume, ready } from '../program-volume.ts';

export const wholeCopy: Benchmark = {
  name: 'whole-copy',
  title: 'Row 1: the same starts after a copy of the whole',
  programs: ['python3', 'du'],
  async run(options) {
    const source = join(options.workDirectory, 'source');
    const { bytes, programs } = await makeProgramVolume(source, options.quick ? 0 : undefined);
    options.note(`A volume of ${(bytes / 1024 ** 2).toFixed(0)} MiB, copied once.`);
    return withOrigin([source], LINKS.home, options.note, async (origin, [cid = '']) => {
      const copy = join(options.workDirectory, 'copy');
      const reader = await startReader(origin);
      try {
        const sinceMs = performance.now();
        await run(reader.program, ['get', '--progress=false', '-o', copy, cid], reader.environment);
        const copied = (performance.now() - sinceMs) / 1000;
        options.say(`  ipfs get: ${copied.toFixed(0)} s`);
        // Kubo keeps no modes unless told to.
        await run('chmod', ['-R', 'a+rx', join(copy, 'python', 'bin')]);
        const figures: Figures[] = [];
        for (const program of programs) {
          const values = [copied + (await ready(program, copy))];
          figures.push({
            workload: `${program.name}, 100 Mbit/s`,
            contender: 'ipfs get, then start',
            unit: 's',
            values,
          });
        }
        return figures;
      } finally {
        await reader.stop();
        await rm(copy, { recursive: true, force: true });
      }
    });
  },
};
