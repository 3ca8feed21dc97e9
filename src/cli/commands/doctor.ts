/** `ipfs-volume doctor`: checks the machine, the daemon and the sources, and says how to mend what fails. */
import type { Command } from 'commander';
import { CodedError, messageChain } from '../../base/errors.ts';
import type { DaemonStatus, Diagnosis } from '../../volumes/control-api.ts';
import type { CliContext } from '../cli-parts.ts';
import { type DaemonOptions, print, printJson, withDaemon, withDaemonOptions } from '../daemon-command.ts';
import {
  checkDockerEngine,
  checkFuseDevice,
  checkKernel,
  checkMountPermission,
  checkMountProgram,
  checkNode,
  checkStateDirectory,
  diagnosis,
} from '../doctor/machine-checks.ts';
import { checkPrivacy } from '../doctor/privacy-check.ts';
import { checkVisibleMount } from '../doctor/visible-mount-check.ts';
import { START_ADVICE } from '../find-socket.ts';
import { formatTable } from '../table.ts';

export function registerDoctor(program: Command, context: CliContext): void {
  const command = program
    .command('doctor')
    .description(
      'check kernel, /dev/fuse, mount permission, disk, engine, daemon and sources, and say how to mend them',
    )
    .action((options: DaemonOptions) => doctor(options, context));
  withDaemonOptions(command);
}

async function doctor(options: DaemonOptions, context: CliContext): Promise<void> {
  const results = [
    checkNode(),
    checkKernel(),
    checkFuseDevice(),
    checkMountPermission(),
    checkMountProgram(context.process.env.PATH),
    await checkDockerEngine(context.process.env.DOCKER_HOST),
    ...(await checkDaemon(options, context)),
  ];
  if (options.json) printJson(context, results);
  else print(context, ...describe(results));
  const failed = results.filter((result) => result.outcome === 'failed');
  if (failed.length > 0) {
    throw new CodedError('CONFIG_INVALID', `${failed.map((result) => result.check).join(', ')}: failed`);
  }
}

/** What the daemon says of itself and its sources; where none answers, the same as far as it can be seen from here. */
async function checkDaemon(options: DaemonOptions, context: CliContext): Promise<Diagnosis[]> {
  const results: Diagnosis[] = [];
  let status: DaemonStatus | undefined;
  try {
    await withDaemon(options, context, async (daemon) => {
      status = await daemon.status();
      results.push(
        diagnosis('daemon', 'ok', `version ${status.version} on ${daemon.socketPath}`),
        await checkVisibleMount(status.mountRoot),
        ...(await daemon.doctor()),
      );
    });
  } catch (error) {
    const [detail = '', advice] = messageChain(error).split(`. ${START_ADVICE}`, 2);
    results.push(diagnosis('daemon', 'warning', detail, advice === undefined ? '' : START_ADVICE));
  }
  // A daemon may run with another environment, and in a plugin with another disk: its word counts, and this shell's does not.
  if (status) return results;
  try {
    const configuration = await context.parts.readConfiguration(context.process.env);
    const checkSources = await context.parts.loadSourceChecks();
    results.push(stateOfThisShell(configuration.stateDirectory), ...(await checkSources(configuration)));
    results.push(...checkPrivacy(configuration));
  } catch (error) {
    results.push(diagnosis('configuration', 'failed', messageChain(error), 'correct the environment variable'));
  }
  return results;
}

/** A managed plugin has a disk of its own, which is not seen from here. */
function stateOfThisShell(directory: string): Diagnosis {
  const result = checkStateDirectory(directory);
  return { ...result, detail: `${result.detail} (of "ipfs-volume serve" in this shell; a plugin has its own)` };
}

function describe(results: readonly Diagnosis[]): string[] {
  const rows = formatTable(results.map((result) => [result.outcome, result.check, result.detail]));
  return results.flatMap((result, i) =>
    result.advice ? [rows[i] ?? '', `         -> ${result.advice}`] : [rows[i] ?? ''],
  );
}
