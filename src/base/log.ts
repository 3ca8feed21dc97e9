/**
 * Logging: pino's interface, narrowed to what the project uses, so that nothing but this file knows pino.
 *
 * One JSON line an event on stdout (the engine logs a plugin's stderr as errors). Secrets never reach a logger: sources
 * name themselves without credentials.
 */
import { destination, pino } from 'pino';

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: object): Logger;
}

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a full disk does not take is kept for later, up to this; what comes beyond is lost. */
const MAX_UNWRITTEN_BYTES = 1024 * 1024;

/** A logger on stdout, written synchronously: the last words before a crash are the ones that matter. */
export function createLogger(level: LogLevel): Logger {
  const output = destination({ fd: 1, sync: true, maxLength: MAX_UNWRITTEN_BYTES });
  // Nobody may stop working because of it.
  output.on('error', () => undefined);
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    output,
  );
}

/** A logger that says nothing: for tests and one-shot commands. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}
