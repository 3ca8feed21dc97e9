/** Content for benchmarks: the same at each run, and such that no layer can compress or de-duplicate it. */
import { createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const PIECE_BYTES = 1024 ** 2;

/** Writes a file of whole MiBs, and waits until it is on the disk. Another `seed` gives other bytes. */
export async function writeNoise(path: string, sizeBytes: number, seed = 0): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  const piece = Buffer.from(createHash('shake256', { outputLength: PIECE_BYTES }).update(String(seed)).digest());
  for (let number = 0; number < sizeBytes / PIECE_BYTES; number++) {
    // No two pieces are alike, and that costs no hash for each.
    piece.writeUInt32LE(number, 0);
    await file.write(piece);
  }
  await file.sync();
  await file.close();
}

/** `directoryCount` directories of small files in three levels, as package trees have: 50 and 10 directories to the upper two. */
export async function writeTree(root: string, directoryCount: number, filesEach: number): Promise<void> {
  for (let index = 0; index < directoryCount; index++) {
    const upper = join(root, `a${index % 50}`, `b${Math.floor(index / 50) % 10}`);
    const directory = join(upper, `c${Math.floor(index / 500)}`);
    await mkdir(directory, { recursive: true });
    for (let file = 0; file < filesEach; file++) await writeFile(join(directory, `file-${file}`), `${index}/${file}`);
  }
}
