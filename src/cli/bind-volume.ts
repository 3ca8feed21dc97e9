/**
 * A volume of the daemon's as a bind mount somewhere else: what `mount` does where a daemon runs.
 *
 * The volume is made for this mount alone, through Docker's own protocol, and is removed with it: nothing is left behind,
 * and a volume that Docker knows is never touched.
 */
import { randomUUID } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { CodedError } from '../base/errors.ts';
import { isFuseMountPoint } from '../fuse/mount-table.ts';
import { detach, runProgram } from '../fuse/run-program.ts';
import type { DaemonClient } from './daemon-client.ts';
import { findMountpoint, hasCandidates } from './find-mountpoint.ts';
import type { ServedDirectory } from './serve-directory.ts';

export interface BindRequest {
  readonly reference: string;
  /** Absolute and existing. */
  readonly target: string;
  readonly targetStat: { isDirectory(): boolean };
  readonly volumeOptions: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/**
 * Undefined where what the daemon mounts at `mountRoot` is not seen from here, there or elsewhere.
 * @throws what the daemon says of the reference and the options, and MOUNT_FAILED; then nothing is left behind
 */
export async function bindVolume(
  daemon: DaemonClient,
  mountRoot: string,
  request: BindRequest,
): Promise<ServedDirectory | undefined> {
  const { reference, target, signal } = request;
  // A plugin's mount root lies in a namespace of its own.
  const isHere = await isFuseMountPoint(mountRoot);
  if (!isHere && !(await hasCandidates())) return undefined;
  const name = `ipfs-volume-mount-${randomUUID()}`;
  const isPath = reference.startsWith('/') || reference.includes('://');
  const Opts = { ...request.volumeOptions, [isPath ? 'path' : 'cid']: reference };

  const undo: (() => Promise<unknown>)[] = [];
  let unmounted: Promise<void> | undefined;
  const unmount = () => {
    unmounted ??= undoAll(undo);
    return unmounted;
  };
  try {
    await daemon.volumeDriver('Create', { Name: name, Opts }, { signal });
    undo.push(() => daemon.volumeDriver('Remove', { Name: name }));
    const { Mountpoint } = await daemon.volumeDriver<{ Mountpoint: string }>(
      'Mount',
      { Name: name, ID: name },
      { signal },
    );
    undo.push(() => daemon.volumeDriver('Unmount', { Name: name, ID: name }));
    const source = isHere ? Mountpoint : await findMountpoint(Mountpoint);
    if (source === undefined) {
      await unmount();
      return undefined;
    }
    await checkKinds(source, request);
    const bound = await runProgram('mount', ['--bind', source, target]);
    if (!bound.ok) throw new CodedError('MOUNT_FAILED', `cannot mount at ${target}: ${bound.said}`);
    undo.push(() => detach(target));
  } catch (error) {
    await unmount().catch(() => {});
    throw error;
  }
  // A bind mount does not end by itself; should somebody else detach it, the volume stays until this process goes.
  return { ended: new Promise(() => {}), unmount };
}

/** All steps back, last first; the first that fails is told when all were tried. */
async function undoAll(undo: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of undo.toReversed()) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function checkKinds(mountpoint: string, { reference, target, targetStat }: BindRequest): Promise<void> {
  const isDirectory = (await stat(mountpoint)).isDirectory();
  if (isDirectory === targetStat.isDirectory()) return;
  const problem = isDirectory ? 'is a directory, and this is a file' : 'is a single file: give a file to mount it on';
  throw new CodedError('MOUNT_FAILED', `${target}: ${reference} ${problem}`);
}
