#!/usr/bin/env node
/** The entry of `ipfs-volume`: hands the command line what lies above its layer. */
import { main } from '../src/cli/main.ts';
import { VERSION } from './version.ts';

// Upon SIGUSR1 Node lets every local user debug the process, as root; the others end one that mounts depend on. None of them
// means anything here.
for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const) process.on(signal, () => undefined);

await main({
  version: VERSION,
  loadCommands: async () => {
    const { registerDaemon, registerServe } = await import('./supervisor/serve-command.ts');
    return [registerServe, registerDaemon];
  },
  readConfiguration: async (env) => (await import('./config.ts')).readConfig(env),
  loadSourceChecks: async () => (await import('./source-checks.ts')).checkSources,
  loadServeDirectory: async () => (await import('./standalone.ts')).serveDirectory,
});
