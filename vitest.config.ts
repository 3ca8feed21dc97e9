/**
 * Two groups: what needs nothing but Node runs in parallel; what mounts, starts daemons or uses a Docker engine runs one
 * file at a time, afterwards, so that neither disturbs the other's time-outs.
 */
import { defineConfig } from 'vitest/config';

/** Tests that have the machine for themselves. */
const MACHINE = [
  'test/fuse/{kernel,libfuse,stale-mounts}*.test.ts',
  'test/fs/mounted/**/*.test.ts',
  'test/plugin/{supervisor,restart,take-over,daemon,serve}*.test.ts',
  'test/prefetch/*daemon*.test.ts',
  'test/cli/{kubo-cids,mount}.test.ts',
  'test/sources/*kubo*.test.ts',
  'test/disk/**/*.test.ts',
  'test/hostile/daemon*.test.ts',
  'test/docker/**/*.test.ts',
  'test/systemd/**/*.test.ts',
  'test/chaos/**/*.test.ts',
];

export default defineConfig({
  test: {
    reporters: ['default', './test/support/reporter.ts'],
    // Bounds against hangs, not measures of speed.
    testTimeout: 60_000,
    hookTimeout: 180_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: MACHINE,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'machine',
          include: MACHINE,
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
