/**
 * From a volume's name to the one directory name under which it stands in the mount root.
 *
 * Docker's names may hold anything but `:`, slashes included (`bafy…/sub/dir` is one). What a file name cannot hold is
 * percent-encoded; what becomes too long ends in a hash of the whole, so that two names never share a directory.
 */
import { createHash } from 'node:crypto';

/** NAME_MAX of Linux. */
const MAX_BYTES = 255;
/** 128 bits, in hexadecimal: names are chosen by whoever runs Docker, and even he should not collide by effort. */
const HASH_DIGITS = 32;

/** The directory's name: 1 to 255 bytes of ASCII, never `.` or `..`, the same for equal names and for no others. */
export function directoryNameOf(volumeName: string): string {
  const encoded = Array.from(Buffer.from(volumeName, 'utf8'), (byte, index) => {
    const character = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9_-]/.test(character) || (character === '.' && index > 0);
    return plain ? character : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
  }).join('');
  if (encoded.length <= MAX_BYTES && encoded !== '') return encoded;
  const hash = createHash('sha256').update(volumeName).digest('hex').slice(0, HASH_DIGITS);
  // `%%` is in no encoding, so no short name is ever spelled like a shortened one.
  return `${encoded.slice(0, MAX_BYTES - HASH_DIGITS - 2)}%%${hash}`;
}

/** The volume's name, for people: as far as its directory's name still tells. */
export function volumeNameOf(directoryName: string): string {
  try {
    return decodeURIComponent(directoryName);
  } catch {
    // Shortened, or no UTF-8.
    return directoryName;
  }
}
