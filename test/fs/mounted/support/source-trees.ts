/** Trees to add: a real one of Debian's packages, one of everything odd, many small files, deep ones, large files. */
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { python, shell } from '../../../fuse/outside.ts';

/** Of every Debian: programs and libraries, symlinks by the hundred, hard links, directories that hold nothing. */
const PACKAGES = ['base-files', 'coreutils', 'libc6', 'openssl', 'perl-base', 'tzdata'];

/** What some installed packages hold below /usr and /etc, copied into `directory` as dpkg would unpack it there. */
export async function packageTree(directory: string): Promise<void> {
  mkdirSync(directory);
  // A minimal image leaves documentation out, which dpkg lists all the same.
  await shell(
    'd=$1; shift; dpkg -L "$@" | grep -E "^/(usr|etc)(/|$)" | sort -u | tar --no-recursion --ignore-failed-read -C / -cf - -T - 2>/dev/null | tar -xf - -C "$d"',
    directory,
    ...PACKAGES,
  );
}

/** Names that a file system must keep byte by byte; all are UTF-8, which IPFS asks for. */
export const ODD_NAMES = [
  ' ',
  'a space',
  'trailing ',
  'new\nline',
  'tab\t',
  'control \x01\x1f\x7f',
  '-rf',
  '--help',
  '.hidden',
  '..two',
  '...',
  '~',
  '*?[a]',
  '$HOME `id` !!',
  'q"uote\'s',
  'back\\slash',
  'ends with \\',
  '%2F%00',
  'a:b|c<d>e&f;g#h',
  'é',
  'e\u0301',
  'ＡＢＣ',
  '日本語',
  'עברית',
  '\u202egpj.exe',
  '😀👨‍👩‍👧',
  '\uffff',
  '\u{10ffff}',
  '\ufeffbom',
  'n'.repeat(255),
  `${'ü'.repeat(127)}x`,
  '😀'.repeat(63),
] as const;

/** Nanoseconds: before 1970, the ends of 32 bits, beyond them, and full precision. */
const TIMES = [
  '0',
  '1',
  '-500000000',
  '-2147483647999999999',
  '2147483647999999999',
  '2147483648000000000',
  '4294967296123456789',
  '1700000000987654321',
];

const MODES = [0o001, 0o111, 0o400, 0o444, 0o555, 0o600, 0o640, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o6755];

const DEPTH = 120;

/** Names, times, modes, symlinks, empty things, and a path that is as deep as Linux lets one say. */
export async function oddTree(directory: string): Promise<void> {
  mkdirSync(directory);
  const at = (name: string): string => {
    mkdirSync(join(directory, name));
    return join(directory, name);
  };
  const names = at('names');
  for (const name of ODD_NAMES) writeFileSync(`${names}/${name}`, name);
  const directories = at('directories');
  for (const name of ODD_NAMES) mkdirSync(`${directories}/${name}`);
  const modes = at('modes');
  for (const mode of MODES) {
    writeFileSync(`${modes}/f${mode.toString(8)}`, `${mode}`);
    chmodSync(`${modes}/f${mode.toString(8)}`, mode);
    mkdirSync(`${modes}/d${mode.toString(8)}`);
    chmodSync(`${modes}/d${mode.toString(8)}`, mode);
  }
  mkdirSync(`${modes}/d0`);
  chmodSync(`${modes}/d0`, 0);
  const links = at('links');
  const targets = [
    'nowhere',
    '..',
    '/',
    '/etc/passwd',
    '../../../../outside',
    ' ',
    'new\nline',
    'é/日本',
    './names',
    '.',
  ];
  for (const [index, target] of targets.entries()) symlinkSync(target, `${links}/${index}`);
  symlinkSync(Buffer.from([0xff, 0xfe, 0x2f, 0x80]), `${links}/not-utf8`);
  symlinkSync('long/'.repeat(818), `${links}/long`);
  writeFileSync(`${directory}/empty-file`, '');
  at('empty-directory');
  const sizes = at('sizes');
  for (const size of [1, 4095, 4096, 4097, 131_071, 131_073, 1_048_575, 1_048_576, 1_048_577, 2_097_153]) {
    writeFileSync(`${sizes}/${size}`, noise(size));
  }
  mkdirSync(join(directory, ...Array.from({ length: DEPTH }, (_, level) => `level-${level}`)), { recursive: true });
  // Last, since what comes into a directory changes its time.
  const times = at('times');
  for (const index of TIMES.keys()) {
    writeFileSync(`${times}/f${index}`, '');
    mkdirSync(`${times}/d${index}`);
  }
  // Node's own utimes takes a double, which is short of nanoseconds.
  await python(
    `for index, time in enumerate(sys.argv[2:]):
  for kind in 'fd': os.utime(f'{sys.argv[1]}/{kind}{index}', ns=(0, int(time)))`,
    times,
    ...TIMES,
  );
}

/** `count` files of a few bytes in directories of 1000. */
export function smallFiles(directory: string, count: number): void {
  for (let index = 0; index < count; index++) {
    const folder = `${directory}/${Math.floor(index / 1000)}`;
    if (index % 1000 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/file-${index}`, `${index}\n`.repeat(index % 7));
  }
}

/** A sparse file of `sizeBytes` with something written at each of `places`. */
export function sparseFile(path: string, sizeBytes: number, places: readonly number[]): void {
  const file = openSync(path, 'w');
  ftruncateSync(file, sizeBytes);
  for (const place of places) writeSync(file, Buffer.from(`here is ${place}`), 0, undefined, place);
  closeSync(file);
  utimesSync(path, 1, 1);
}

/** Bytes that do not repeat, the same each time: an xorshift generator. */
export function noise(sizeBytes: number, seed = 0x9e3779b9): Buffer {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = seed;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer, 0, sizeBytes);
}
