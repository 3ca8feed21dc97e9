/**
 * Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format), written from numbers that others keep.
 *
 * Why no client library: docs/decisions/metrics-text.md.
 */

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

interface HistogramSample {
  readonly labels?: Labels;
  /** One count a bound and one for the rest; not cumulative. */
  readonly buckets: readonly number[];
  readonly sum: number;
}

export class MetricsText {
  readonly #lines: string[] = [];
  readonly #names = new Set<string>();

  /** A number that only grows while the process lives; `name` ends in `_total`. */
  counter(name: string, help: string, samples: readonly Sample[]): this {
    this.#head(name, help, 'counter');
    for (const { labels, value } of samples) this.#sample(name, labels, value);
    return this;
  }

  gauge(name: string, help: string, samples: readonly Sample[]): this {
    this.#head(name, help, 'gauge');
    for (const { labels, value } of samples) this.#sample(name, labels, value);
    return this;
  }

  /** `bounds` are the buckets' upper ends, ascending. */
  histogram(name: string, help: string, bounds: readonly number[], samples: readonly HistogramSample[]): this {
    this.#head(name, help, 'histogram');
    for (const { labels, buckets, sum } of samples) {
      let count = 0;
      for (const [index, bound] of bounds.entries()) {
        count += buckets[index] ?? 0;
        this.#sample(`${name}_bucket`, { ...labels, le: String(bound) }, count);
      }
      count += buckets[bounds.length] ?? 0;
      this.#sample(`${name}_bucket`, { ...labels, le: '+Inf' }, count);
      this.#sample(`${name}_sum`, labels, sum);
      this.#sample(`${name}_count`, labels, count);
    }
    return this;
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #head(name: string, help: string, type: string): void {
    if (this.#names.has(name)) throw new RangeError(`the metric ${name} is written twice`);
    this.#names.add(name);
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels | undefined, value: number): void {
    const pairs = Object.entries(labels ?? {}).map(([label, text]) => `${label}="${escaped(text)}"`);
    this.#lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}`);
  }
}

/** A volume may be called anything. */
function escaped(text: string): string {
  return text.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
