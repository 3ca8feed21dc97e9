/**
 * `touch-memory.ts KEEP_BYTES`: uses all available memory but that much once, and gives it back. A virtual machine's
 * memory is backed page by page at its first use, which takes ten times as long as any later one; a benchmark would charge
 * that to whoever happens to run first.
 */
import { readFileSync } from 'node:fs';

const PIECE_BYTES = 256 * 1024 ** 2;
const PAGE_BYTES = 4096;

const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
const pieces: Buffer[] = [];
for (let left = available - Number(process.argv[2] ?? 0); left > PIECE_BYTES; left -= PIECE_BYTES) {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (let at = 0; at < PIECE_BYTES; at += PAGE_BYTES) piece[at] = 1;
  pieces.push(piece);
}
