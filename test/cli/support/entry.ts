#!/usr/bin/env node
/** The command line as a process of its own, for what only a process shows: signals, exit codes, an old Node. */
import { main } from '../../../src/cli/main.ts';

await main(
  {
    version: '1.2.3',
    loadCommands: async () => [],
    readConfiguration: () => {
      throw new Error('no configuration in this test');
    },
    loadSourceChecks: async () => async () => [],
    loadServeDirectory: async () => (await import('./file-served.ts')).serveDirectory,
  },
  process.env.FAKE_NODE_VERSION,
);
