/** What processes cost, from /proc (proc(5)): processor time and peak memory, children that still run included. */
import { readFile } from 'node:fs/promises';

/** User and system seconds so far of the processes and all their children. */
export async function processorSeconds(processIds: readonly number[]): Promise<number> {
  let ticks = 0;
  for (const processId of await withChildren(processIds)) {
    const stat = await readFile(`/proc/${processId}/stat`, 'utf8').catch(() => '');
    // Fields 14 and 15, counted behind the name, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  // USER_HZ is 100 wherever Linux runs Node.
  return ticks / 100;
}

/** The most memory that the processes and their children had resident, each at its own time, in bytes. */
export async function peakMemoryBytes(processIds: readonly number[]): Promise<number> {
  let bytes = 0;
  for (const processId of await withChildren(processIds)) {
    const status = await readFile(`/proc/${processId}/status`, 'utf8').catch(() => '');
    bytes += Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
  }
  return bytes;
}

async function withChildren(processIds: readonly number[]): Promise<number[]> {
  const found = [...processIds];
  for (const processId of found) {
    const children = await readFile(`/proc/${processId}/task/${processId}/children`, 'utf8').catch(() => '');
    found.push(...children.split(' ').filter(Boolean).map(Number));
  }
  return found;
}
