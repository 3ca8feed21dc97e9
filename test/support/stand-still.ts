/** Processes that do nothing until SIGCONT. */
import { readdirSync, readFileSync } from 'node:fs';
import { until } from './daemon.ts';

/**
 * SIGSTOP. Resolves once all of its threads stand, which the signal reaches one by one: one that waits in the kernel, for a disk
 * or a FUSE file system, has had its answer then.
 */
export async function standStill({ pid = -1 }: { readonly pid?: number | undefined }): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const tasks = `/proc/${pid}/task`;
  const stands = (task: string): boolean => {
    try {
      // proc_pid_stat(5): the state follows the name's `)`.
      return /\) T /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'));
    } catch {
      return false; // It ended meanwhile.
    }
  };
  await until(`process ${pid} stands still`, () => readdirSync(tasks).every(stands));
}
