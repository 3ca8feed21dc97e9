/**
 * What of a FUSE connection must outlive the process that serves it: what was negotiated, once, in INIT. Kept in a file
 * of the run directory, in memory, since it dies with the connection.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { CodedError } from '../src/base/errors.ts';
import type { Negotiated } from '../src/fuse/kernel/negotiation.ts';

/** Written whole before INIT is answered; the kernel asks nothing else until then. */
export function saveNegotiated(file: string, negotiated: Negotiated): void {
  writeFileSync(file, JSON.stringify(negotiated), { mode: 0o600 });
}

/** What an earlier process saved; undefined where none answered INIT, which the kernel then asks of us. */
export function loadNegotiated(file: string): Negotiated | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CodedError('INTERNAL', `the state of the FUSE connection cannot be read`, { cause: error });
  }
  return JSON.parse(text) as Negotiated;
}
