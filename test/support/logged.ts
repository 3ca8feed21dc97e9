/** What a daemon said in its log, as values. */
import { type TestDaemon, until } from './daemon.ts';

type LogLine = Readonly<Record<string, unknown>>;

/** The first line with that message, behind the first `from` lines; waits for it. */
export async function logged(daemon: TestDaemon, message: string, from = 0): Promise<LogLine> {
  let found: LogLine | undefined;
  await until(`the daemon logs "${message}"`, () => {
    const lines = daemon.log.slice(from).filter((line) => line.startsWith('{'));
    found = lines.map((line) => JSON.parse(line) as LogLine).find(({ msg }) => msg === message);
    return found !== undefined;
  });
  return found as LogLine;
}
