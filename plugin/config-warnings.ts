/**
 * What can be read of a configuration and is hardly meant: names that nobody knows, sizes that lack their unit. It is used
 * as it stands, and said in the log at the start.
 */
import { formatBytes } from '../src/base/units.ts';
import { type Config, FLAGS, PREFIX } from './config.ts';

export interface ConfigWarning {
  readonly variable: string;
  readonly advice: string;
}

/** A block has up to 2 MiB: a smaller cache keeps next to nothing. None at all is a choice. */
export const LEAST_CACHE_BYTES = 2 * 1024 * 1024;
/** A block of 256 KiB takes four minutes then. */
const LEAST_RATE = 1024;
/** More letters apart than this, a name was not meant to be the other. */
const MAX_DISTANCE = 4;

export function configWarnings(
  environment: Readonly<Record<string, string | undefined>>,
  config: Config,
): ConfigWarning[] {
  const known = FLAGS.map(({ variable }) => variable);
  const unknown = Object.keys(environment).filter((name) => name.startsWith(PREFIX) && !known.includes(name));
  const warnings = unknown.map((variable) => ({ variable, advice: nearest(variable, known) }));
  const { cacheSizeBytes, prefetchRate } = config;
  if (cacheSizeBytes > 0 && cacheSizeBytes < LEAST_CACHE_BYTES) {
    const advice = `${formatBytes(cacheSizeBytes)} keeps next to nothing; a size has a unit, as in 10GiB`;
    warnings.push({ variable: `${PREFIX}CACHE_SIZE`, advice });
  }
  if (prefetchRate !== undefined && prefetchRate < LEAST_RATE) {
    const advice = `${formatBytes(prefetchRate)}/s brings next to nothing; a rate has a unit, as in 20MiB/s`;
    warnings.push({ variable: `${PREFIX}PREFETCH_RATE`, advice });
  }
  return warnings;
}

function nearest(name: string, known: readonly string[]): string {
  const [best] = known
    .map((candidate) => ({ candidate, distance: distanceOf(name, candidate) }))
    .toSorted((one, other) => one.distance - other.distance);
  const advice = best && best.distance <= MAX_DISTANCE ? `is ${best.candidate} meant?` : '"serve --help" lists them';
  return `there is no such variable; ${advice}`;
}

/** Letters to add, drop or change (Levenshtein). */
function distanceOf(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const line = [row];
    for (let column = 1; column <= other.length; column++) {
      const changed = (above[column - 1] as number) + (one[row - 1] === other[column - 1] ? 0 : 1);
      line.push(Math.min(changed, (above[column] as number) + 1, (line[column - 1] as number) + 1));
    }
    above = line;
  }
  return above[other.length] as number;
}
