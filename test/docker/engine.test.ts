/**
 * The plugin on a real Docker engine. One engine of the tests' own and one installed plugin serve all suites of this folder,
 * one after the other: starting both takes longer than most suites.
 */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { describeWith } from '../support/machine.ts';
import { containers } from './suites/containers.ts';
import { demo } from './suites/demo.ts';
import { faults } from './suites/faults.ts';
import { killedDaemon } from './suites/killed-daemon.ts';
import { plugin } from './suites/plugin.ts';
import { refusals } from './suites/refusals.ts';
import { restarts } from './suites/restarts.ts';
import { unmanaged } from './suites/unmanaged.ts';
import { Bench } from './support/bench.ts';

describeWith(['root', 'fuse', 'docker'], 'a Docker engine with the plugin', () => {
  const bench = new Bench();
  beforeAll(() => bench.start());
  afterEach(() => bench.tidy());
  afterAll(() => bench[Symbol.asyncDispose]());

  containers(bench);
  refusals(bench);
  faults(bench);
  killedDaemon(bench);
  plugin(bench);
  restarts(bench);
  demo(bench);
  // Last: the engine looks for a driver that has gone in every listing, for 15 s each.
  unmanaged(bench);
});
