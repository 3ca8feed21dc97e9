/**
 * A system error on something the user named: INPUT_INVALID with the path and the kernel's words, in one short line.
 */
import { CodedError } from '../base/errors.ts';

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  ENOTDIR: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  // O_NOFOLLOW met a symlink where a file was listed.
  ELOOP: 'changed while it was being read',
};

/** What to throw for `error`; whatever is no system error passes through unchanged. */
export function inputError(path: string, error: unknown): unknown {
  const { syscall, code } = error as NodeJS.ErrnoException;
  if (error instanceof CodedError || !syscall || !code) return error;
  // No cause: Node's own message says the same again, and the path.
  return new CodedError('INPUT_INVALID', `${path || '""'}: ${WORDS[code] ?? `${syscall} failed with ${code}`}`);
}
