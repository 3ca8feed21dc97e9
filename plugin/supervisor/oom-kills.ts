/**
 * How many processes the kernel has killed for want of memory: of our own cgroup where it says so (cgroup-v2's
 * `memory.events`, cgroup-v1's `memory.oom_control`), of the whole machine otherwise (`/proc/vmstat`). Both count what the
 * machine's own lack of memory killed, too. Only changes mean something.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const CGROUPS = '/sys/fs/cgroup';

export function oomKills(): number {
  for (const file of [...ownFiles(), '/proc/vmstat']) {
    const count = /^oom_kill (\d+)$/m.exec(readIfThere(file))?.[1];
    if (count !== undefined) return Number(count);
  }
  return 0;
}

/** As cgroups(7) writes them: `hierarchy:controllers:path`, with no controllers for version 2. */
function ownFiles(): string[] {
  const lines = readIfThere('/proc/self/cgroup').matchAll(/^\d+:([^:\n]*):(\/[^\n]*)$/gm);
  return [...lines].flatMap(([, controllers = '', path = '']) => {
    if (controllers === '') return [join(CGROUPS, path, 'memory.events')];
    return controllers.split(',').includes('memory') ? [join(CGROUPS, 'memory', path, 'memory.oom_control')] : [];
  });
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
