/**
 * A few lines on a terminal that are drawn over each other, and stay there as they were last. Lines are cut at the
 * terminal's width, since one that wraps would leave its rest behind.
 */
import type { Output } from './cli-parts.ts';

export interface ScreenLine {
  readonly text: string;
  /** To be seen first: shown in red, but where NO_COLOR is set. */
  readonly alarm?: boolean;
}

/** Of a terminal that does not say. */
const COLUMNS = 80;
const ROWS = 24;

export class LiveScreen {
  readonly #output: Output;
  readonly #colour: boolean;
  #drawn = 0;

  constructor(output: Output, { colour }: { readonly colour: boolean }) {
    this.#output = output;
    this.#colour = colour;
    output.write('\x1b[?25l');
  }

  get columns(): number {
    return this.#output.columns ?? COLUMNS;
  }

  get rows(): number {
    return this.#output.rows ?? ROWS;
  }

  /** In place of what was drawn before. What does not fit the height is left out, with a word on it. */
  draw(lines: readonly ScreenLine[]): void {
    const height = this.rows - 1;
    const left = lines.length - height;
    const shown = left > 0 ? [...lines.slice(0, height - 1), { text: `… and ${left + 1} more lines` }] : lines;
    const back = this.#drawn > 0 ? `\x1b[${this.#drawn}A\r` : '';
    this.#output.write(`${back}\x1b[0J${shown.map((line) => `${this.#styled(line)}\n`).join('')}`);
    this.#drawn = shown.length;
  }

  /** Gives the cursor back, below what was drawn last. */
  close(): void {
    this.#output.write('\x1b[?25h');
  }

  #styled({ text, alarm }: ScreenLine): string {
    // Names are the users' and errors the sources': nothing in them shall move the cursor.
    const plain = text.replaceAll(/\p{Cc}/gu, '?');
    const cut = plain.length > this.columns - 1 ? `${plain.slice(0, this.columns - 2)}…` : plain;
    return alarm && this.#colour ? `\x1b[31m${cut}\x1b[39m` : cut;
  }
}
