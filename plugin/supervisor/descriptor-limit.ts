/**
 * How many files this process and its daemon may have open. With too few a start ends in the middle, with a mount that nobody serves
 * and an error that says nothing of why; so it is looked at before anything else.
 */
import { readFileSync } from 'node:fs';
import { CodedError } from '../../src/base/errors.ts';

/** A daemon at rest has some 60, each source up to 64 connections, and the stores what is left, which do with less. */
const DESCRIPTORS_NEEDED = 256;

/** @throws CONFIG_INVALID where they are too few; `limits` is /proc/self/limits, where Node has raised them as far as it may */
export function checkDescriptorLimit(limits = readFileSync('/proc/self/limits', 'utf8')): void {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
  if (soft === undefined || Number(soft) >= DESCRIPTORS_NEEDED) return;
  throw new CodedError(
    'CONFIG_INVALID',
    `${soft} open files are too few, ${DESCRIPTORS_NEEDED} are needed: raise the limit ("ulimit -n", or LimitNOFILE= of a systemd unit)`,
  );
}
