/** Ways to fetch all of a volume behind a reader's back: our own, and other programs that know of no priorities. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { end } from './child.ts';
import type { Link } from './link.ts';
import type { VolumeDaemon } from './volume-daemon.ts';

const DOWNLOAD = new URL('./programs/bulk-download.ts', import.meta.url).pathname;
const PAUSING_DOWNLOAD = new URL('./programs/pausing-download.ts', import.meta.url).pathname;
const AT_ONCE = '32';
/** What stargz-snapshotter gives its task manager. */
const SILENCE_MS = '5000';

export interface BackgroundFill {
  readonly contender: string;
  /** Ready to begin. */
  open(): Promise<{
    /** Where the reader beside it reads from. */
    readonly gatewayUrl: string;
    begin(daemon: VolumeDaemon): Promise<unknown>;
    end(): Promise<void>;
  }>;
}

export function ours({ port }: Link, cid: string): BackgroundFill {
  return {
    contender: 'ipfs-volume',
    open: async () => ({
      gatewayUrl: urlOf(port),
      begin: (daemon) => daemon.mount('fill', cid, { prefetch: 'all' }),
      // Ends with the daemon.
      end: async () => undefined,
    }),
  };
}

export function firstInFirstOut({ port }: Link, cid: string): BackgroundFill {
  return {
    contender: 'another program, first in first out',
    async open() {
      let download: ChildProcess | undefined;
      return {
        gatewayUrl: urlOf(port),
        async begin() {
          const args = [DOWNLOAD, urlOf(port), cid, AT_ONCE];
          download = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
        },
        end: async () => download && end(download),
      };
    },
  };
}

export function pausing({ port }: Link, cid: string): BackgroundFill {
  return {
    contender: "another program, by stargz's pause rule",
    async open() {
      const args = [PAUSING_DOWNLOAD, urlOf(port), cid, AT_ONCE, SILENCE_MS];
      const download = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const [line] = (await once(download.stdout, 'data')) as [Buffer];
      return {
        gatewayUrl: urlOf(Number(line.toString())),
        begin: async () => download.stdin.write('\n'),
        end: () => end(download),
      };
    },
  };
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}`;
}
