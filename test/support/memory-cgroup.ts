/**
 * A cgroup with a bound on its memory, whose largest process the kernel kills where that is exceeded: of version 2 where the
 * machine has the memory controller there, else of version 1. Needs `memory-cgroup`.
 *
 *   using group = new MemoryCgroup('name', 512 * MIB);
 *   startDaemon({ launcher: group.launcher })
 */
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const SECOND = '/sys/fs/cgroup';
const FIRST = '/sys/fs/cgroup/memory';

/** Where such a group can be made, and the name of its bound; a text that says why where there is none. */
export function memoryController(): { readonly parent: string; readonly bound: string } | string {
  const children = join(SECOND, 'cgroup.subtree_control');
  const found =
    existsSync(children) && /\bmemory\b/.test(readFileSync(children, 'utf8'))
      ? { parent: SECOND, bound: 'memory.max' }
      : { parent: FIRST, bound: 'memory.limit_in_bytes' };
  try {
    accessSync(join(found.parent, 'cgroup.procs'), constants.W_OK);
    return found;
  } catch (error) {
    return `no memory cgroup can be made: ${(error as Error).message}`;
  }
}

export class MemoryCgroup implements Disposable {
  readonly #path: string;

  constructor(name: string, limitBytes: number) {
    const found = memoryController();
    if (typeof found === 'string') throw new Error(found);
    this.#path = join(found.parent, `${name}-${process.pid}`);
    mkdirSync(this.#path);
    writeFileSync(join(this.#path, found.bound), String(limitBytes));
  }

  /** What starts a program in it: goes before the program and its arguments. */
  get launcher(): string[] {
    return ['sh', '-c', 'echo $$ >"$0" && exec "$@"', join(this.#path, 'cgroup.procs')];
  }

  /** Once its processes have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.#path);
  }
}
