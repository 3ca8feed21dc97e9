/** A logger that keeps what it was told, for tests of what is said and how often. */
import type { Logger } from '../../src/base/log.ts';

export class RecordingLogger implements Logger {
  readonly lines: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly message: string;
    readonly fields: object;
  }[] = [];

  debug(fields: object, message: string): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  info(fields: object, message: string): void {
    this.lines.push({ level: 'info', message, fields });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: 'error', message, fields });
  }

  child(): Logger {
    return this;
  }

  /** The messages of that level. */
  said(level: 'info' | 'warn' | 'error'): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}
