/**
 * What of a FUSE connection must outlive the process that serves it, in the supervisor's run directory: what was
 * negotiated, once, in INIT; what node numbers mean; which requests are in flight, and of which daemons
 * ended, and which state directory is the one. All of it ends with the connection.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '../../src/base/errors.ts';
import type { Negotiated } from '../../src/fuse/kernel/negotiation.ts';

interface ConnectionFiles {
  readonly negotiated: string;
  readonly nodes: string;
  readonly inFlight: string;
  readonly suspects: string;
  readonly background: string;
  readonly state: string;
}

/** Where each of it is, in a directory of the connection's own. */
export function connectionFiles(directory: string): ConnectionFiles {
  return {
    negotiated: join(directory, 'negotiated.json'),
    nodes: join(directory, 'nodes'),
    inFlight: join(directory, 'in-flight'),
    suspects: join(directory, 'suspects'),
    background: join(directory, 'background'),
    state: join(directory, 'state'),
  };
}

/** There, and whole, before INIT is answered; the kernel asks nothing else until then. */
export function saveNegotiated(file: string, negotiated: Negotiated): void {
  writeFileSync(`${file}.new`, JSON.stringify(negotiated), { mode: 0o600 });
  renameSync(`${file}.new`, file);
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
