/** Readers of a mount, each a process of its own: what they read, or why they could not, and how long it took. */
import { createHash } from 'node:crypto';
import { start } from '../fuse/outside.ts';

export interface Reading {
  /** The SHA-256 of what was read, or the error as strerror(3) has it, such as `Input/output error`. */
  readonly result: string;
  readonly tookMs: number;
}

/** Reads the file at `path` to its end. */
export async function read(path: string): Promise<Reading> {
  const startedAt = performance.now();
  const { code, signal, stdout, stderr } = await start('sha256sum', path).outcome;
  const tookMs = performance.now() - startedAt;
  const result = code === 0 ? stdout.toString().slice(0, 64) : (stderr.trim().split(': ').at(-1) ?? String(signal));
  return { result: result === '' ? String(signal) : result, tookMs };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
