/**
 * The arguments of the scripts behind `npm run plugin:…`: what is wrong with them is one line and exit code 2, and `--help`
 * is answered with how the script is called.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** As `parseArgs`; ends the process where there is nothing to run. */
export function scriptArguments<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(`Usage: ${usage}`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    // Node's own words go on to how a positional is told from an option.
    const [problem] = error instanceof Error ? error.message.split('. ') : [String(error)];
    wrongUsage(`${problem}; usage: ${usage}`);
  }
}

export function wrongUsage(problem: string): never {
  console.error(problem);
  process.exit(2);
}
