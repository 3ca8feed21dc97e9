import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { inputError } from '../../src/cli/input-error.ts';

const systemError = (code: string) =>
  Object.assign(new Error(`${code}: long words, open '/p'`), { syscall: 'open', code });

test.each([
  ['EACCES', '/p: permission denied'],
  ['ENOENT', '/p: no such file or directory'],
  ['EIO', '/p: open failed with EIO'],
])('%s of something that the user named is one short line', (code, message) => {
  const error = inputError('/p', systemError(code));
  expect(error).toMatchObject({ code: 'INPUT_INVALID', message });
  expect((error as Error).cause).toBeUndefined();
});

test('what is no system error stays what it is', () => {
  const coded = new CodedError('STORE_FULL', 'no space');
  expect(inputError('/p', coded)).toBe(coded);
  const defect = new TypeError('x is not a function');
  expect(inputError('/p', defect)).toBe(defect);
});
