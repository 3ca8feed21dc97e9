/**
 * Whether something is bound from a directory of a mount, in any mount namespace that this process can see: on a host
 * that is every container; inside a managed plugin, which sees its own processes alone, nothing ever is.
 *
 * The kernel's tables are read, never the paths: those may lead to the mount that this process serves.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { canonical, type MountEntry, parseMountEntries } from './mount-table.ts';

/** True where `directory`, a name in the file system mounted at `mountRoot`, or something below it is mounted elsewhere. */
export async function isBoundElsewhere(mountRoot: string, directory: string): Promise<boolean> {
  const [table, path] = await Promise.all([readFile('/proc/self/mountinfo', 'latin1'), canonical(mountRoot)]);
  const own = parseMountEntries(table).find(({ point, root }) => point === path && root === '/');
  if (!own) return false;
  const from = `/${directory}`;
  const isBound = ({ device, root }: MountEntry) =>
    device === own.device && (root === from || root.startsWith(`${from}/`));
  for (const other of await namespaceTables()) if (parseMountEntries(other).some(isBound)) return true;
  return false;
}

/** /proc/PID/mountinfo of one process in each mount namespace. */
async function namespaceTables(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const processes = new Map<string, string>();
  for (const pid of pids) {
    // A process may end at any moment; a kernel thread has no namespace to read.
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined);
    if (namespace !== undefined) processes.set(namespace, pid);
  }
  return Promise.all(
    [...processes.values()].map((pid) => readFile(`/proc/${pid}/mountinfo`, 'latin1').catch(() => '')),
  );
}
