/**
 * Sizes, durations and rates as users write them (`10GiB`, `60s`, `20MiB/s`) and as we show them.
 *
 * Binary units are powers of 1024, decimal ones (`MB`) of 1000, a bare `M` is binary, as in Docker's own options.
 */
import { CodedError } from './errors.ts';

const SIZE_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  tb: 1000 ** 4,
};

const DURATION_FACTORS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Bytes of `10GiB`, `512 MB`, `4096`. @throws CONFIG_INVALID with the text and an example. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = match && SIZE_FACTORS[(match[2] ?? '').toLowerCase()];
  const bytes = match && factor !== undefined && factor !== null ? Math.floor(Number(match[1]) * factor) : Number.NaN;
  if (!Number.isSafeInteger(bytes)) throw new CodedError('CONFIG_INVALID', `"${text}" is not a size such as 10GiB`);
  return bytes;
}

/** Milliseconds of `60s`, `500ms`, `2m`, `1h`. @throws CONFIG_INVALID with the text and an example. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)$/i.exec(text.trim());
  const factor = match?.[2] ? DURATION_FACTORS_MS[match[2].toLowerCase()] : undefined;
  const durationMs = match && factor !== undefined ? Number(match[1]) * factor : Number.NaN;
  if (durationMs === 0) throw new CodedError('CONFIG_INVALID', `"${text}" must be more than 0, such as 60s`);
  // A timer longer than 2^31-1 ms fires at once in Node.
  if (!(durationMs > 0 && durationMs <= 0x7fff_ffff)) {
    const what = 'a number with ms, s, m or h behind it, and at most 596h';
    throw new CodedError('CONFIG_INVALID', `"${text}" is not a duration such as 60s: ${what}`);
  }
  return durationMs;
}

/** Bytes a second of `20MiB/s` (the `/s` may be left out). @throws CONFIG_INVALID with the text and an example. */
export function parseRate(text: string): number {
  try {
    const bytes = parseSize(text.trim().replace(/\/s$/i, ''));
    if (bytes > 0) return bytes;
  } catch {
    // Told below, with the example of a rate.
  }
  throw new CodedError('CONFIG_INVALID', `"${text}" is not a rate such as 20MiB/s`);
}

/** `1 block`, `7 blocks`: for nouns whose plural takes an s. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `1.5 GiB`, `12 B`: for people, never to be parsed again. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
