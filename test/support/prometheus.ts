/**
 * A strict reader of Prometheus' text format 0.0.4: whatever the format does not allow, or promises and does not keep, is
 * an error that names the line.
 *
 * Strict beyond the grammar: HELP and TYPE before the samples of a metric and once, no sample twice, counters end in
 * `_total` and are not negative, histograms have cumulative buckets that end in `+Inf` and agree with their count.
 */

interface Metric {
  readonly type: string;
  readonly help: string;
  readonly samples: Map<string, number>;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,(?=[a-zA-Z_])|$)/;

export class PrometheusText {
  readonly metrics = new Map<string, Metric>();

  /** @throws for the first thing that is wrong */
  constructor(text: string) {
    if (!text.endsWith('\n')) throw new Error('the last line is not ended');
    let help: { readonly name: string; readonly text: string } | undefined;
    let current: { readonly name: string; readonly metric: Metric } | undefined;
    for (const line of text.slice(0, -1).split('\n')) {
      const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
      if (kind !== undefined && !NAME.test(name)) throw new Error(`not a name: ${line}`);
      if (kind === 'HELP') {
        help = { name, text: rest };
      } else if (kind === 'TYPE') {
        if (help?.name !== name) throw new Error(`no HELP before: ${line}`);
        if (!['counter', 'gauge', 'histogram'].includes(rest)) throw new Error(`not a type: ${line}`);
        if (this.metrics.has(name)) throw new Error(`a second time: ${line}`);
        if ((rest === 'counter') !== name.endsWith('_total')) throw new Error(`type and name disagree: ${line}`);
        current = { name, metric: { type: rest, help: help.text, samples: new Map() } };
        this.metrics.set(name, current.metric);
      } else {
        if (!current) throw new Error(`a sample of nothing: ${line}`);
        addSample(current.name, current.metric, line);
      }
    }
    for (const [name, metric] of this.metrics) if (metric.type === 'histogram') checkHistogram(name, metric);
  }

  /** The sample of `name` with exactly `labels`. @throws where there is none */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const metric = this.metrics.get(name) ?? this.metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
    const value = metric?.samples.get(keyOf(name, labels));
    if (value === undefined) throw new Error(`no ${keyOf(name, labels)}`);
    return value;
  }

  /** The sum over all labels. */
  total(name: string): number {
    return [...(this.metrics.get(name)?.samples.values() ?? [])].reduce((sum, value) => sum + value, 0);
  }
}

function addSample(name: string, { type, samples }: Metric, line: string): void {
  const [, sampled = '', labelText = '', valueText = ''] = SAMPLE.exec(line) ?? [];
  const suffix = sampled.slice(name.length);
  const fits = type === 'histogram' ? ['_bucket', '_sum', '_count'].includes(suffix) : suffix === '';
  if (!sampled.startsWith(name) || !fits) throw new Error(`not a sample of ${name}: ${line}`);
  const value = valueText === 'NaN' ? Number.NaN : Number(valueText);
  if (valueText !== 'NaN' && !Number.isFinite(value)) throw new Error(`not a number: ${line}`);
  if (type !== 'gauge' && !(value >= 0)) throw new Error(`negative: ${line}`);
  const key = keyOf(sampled, parseLabels(labelText, line));
  if (samples.has(key)) throw new Error(`a sample twice: ${line}`);
  samples.set(key, value);
}

function parseLabels(text: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = text; rest !== ''; ) {
    const match = LABEL.exec(rest);
    if (!match) throw new Error(`labels that cannot be read: ${line}`);
    const [whole, label = '', value = ''] = match;
    if (label in labels) throw new Error(`a label twice: ${line}`);
    labels[label] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  return labels;
}

function checkHistogram(name: string, { samples }: Metric): void {
  const last = new Map<string, { bound: number; count: number }>();
  for (const [key, count] of samples) {
    const { sampled, labels } = JSON.parse(key) as { sampled: string; labels: [string, string][] };
    if (sampled !== `${name}_bucket`) continue;
    const text = labels.find(([label]) => label === 'le')?.[1];
    if (text === undefined) throw new Error(`a bucket of ${name} without le`);
    const bound = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text);
    const series = JSON.stringify(labels.filter(([label]) => label !== 'le'));
    const before = last.get(series) ?? { bound: Number.NEGATIVE_INFINITY, count: 0 };
    if (!(bound > before.bound) || count < before.count) throw new Error(`${name} is not cumulative at ${text}`);
    last.set(series, { bound, count });
  }
  if (last.size === 0) throw new Error(`${name} has no bucket`);
  for (const [series, { bound, count }] of last) {
    const labels = Object.fromEntries(JSON.parse(series) as [string, string][]);
    if (bound !== Number.POSITIVE_INFINITY) throw new Error(`${name} has no bucket for the rest`);
    if (samples.get(keyOf(`${name}_count`, labels)) !== count) throw new Error(`${name} counts differ`);
    if (!samples.has(keyOf(`${name}_sum`, labels))) throw new Error(`${name} has no sum`);
  }
}

function keyOf(sampled: string, labels: Readonly<Record<string, string>>): string {
  return JSON.stringify({ sampled, labels: Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1)) });
}
