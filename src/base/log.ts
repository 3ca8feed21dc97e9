/**
 * Logging: pino's interface, narrowed to what the project uses, so that nothing but this file and `log-output.ts` knows
 * pino.
 *
 * One JSON line an event on stdout (the engine logs a plugin's stderr as errors). Secrets never reach a logger: sources
 * name themselves without credentials.
 */
import { pino } from 'pino';
import { type LogOutput, logOutput } from './log-output.ts';

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

/** A logger on `output`, written at once: the last words before a crash are the ones that matter. */
export function createLogger(level: LogLevel, output: LogOutput = logOutput(1)): Logger {
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
