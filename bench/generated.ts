/** The gateway of generated content, in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { end } from './child.ts';
import type { GeneratedVolume } from './programs/generated-gateway.ts';

export interface GeneratedGateway {
  readonly port: number;
  readonly url: string;
  /** One a volume, in their order. */
  readonly cids: readonly string[];
  close(): Promise<void>;
}

const PROGRAM = new URL('./programs/generated-gateway.ts', import.meta.url).pathname;

export async function startGenerated(volumes: readonly GeneratedVolume[]): Promise<GeneratedGateway> {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(volumes)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { port, cids } = JSON.parse(line.toString()) as { port: number; cids: string[] };
  return { port, url: `http://127.0.0.1:${port}`, cids, close: () => end(child) };
}
