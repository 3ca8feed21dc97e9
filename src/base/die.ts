/**
 * Ends this process at once, where nothing else does: a thread that waits in the kernel, for a disk, for a file on it to be closed
 * or for a FUSE request, keeps a process from exiting. The kernel takes its locks back.
 */
export function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
