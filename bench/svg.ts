/**
 * Line charts as SVG, by hand: axes, lines or steps, a legend. Readable on light and on dark ground: text and axes take
 * the reader's colours by a media query, lines are of a palette that is told apart on both and by the colour-blind
 * (Okabe and Ito), and each has a pattern of its own besides.
 */

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [number, number])[];
  /** Which colour and pattern. */
  readonly look: number;
}

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly Line[];
  /** Instead of straight lines between the points: a value holds until the next one. */
  readonly steps?: boolean;
  readonly dots?: boolean;
  readonly logarithmicX?: boolean;
  /** Upper end of an axis; otherwise what the lines need. */
  readonly maxX?: number;
  readonly maxY?: number;
  /** Straight lines to compare with, such as a link's rate. */
  readonly marks?: readonly { readonly name: string; readonly x?: number; readonly y?: number }[];
}

const WIDTH = 760;
const HEIGHT = 380;
const LEFT = 64;
const RIGHT = 16;
const TOP = 40;
const BOTTOM = 48;
const LEGEND_LINE = 18;
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const DASHES = ['', '7 3', '2 3', '9 3 2 3', '12 4', '4 4'];
/** A line of a thousand points needs no more than this to look the same. */
const MAX_POINTS = 300;

export function chartSvg(chart: Chart): string {
  const lines = chart.lines.map(({ points, ...line }) => ({ ...line, points: thinned(points) }));
  const all = lines.flatMap(({ points }) => points);
  const minX = chart.logarithmicX ? Math.min(...all.map(([x]) => x)) : 0;
  const maxX = chart.maxX ?? Math.max(...all.map(([x]) => x));
  const marked = (chart.marks ?? []).flatMap(({ y }) => (y === undefined ? [] : [y]));
  const maxY = chart.maxY ?? roundUp(Math.max(...all.map(([, y]) => y), ...marked));
  const scale = chart.logarithmicX ? Math.log : (x: number) => x;
  // As many beside each other as the longest name lets, at some seven units a character.
  const longest = Math.max(...lines.map(({ name }) => name.length));
  const columns = Math.max(1, Math.min(3, Math.floor((WIDTH - LEFT) / (7 * longest + 50))));
  const height = HEIGHT + 12 + LEGEND_LINE * Math.ceil(lines.length / columns);
  const bottom = HEIGHT - BOTTOM;
  const toX = (x: number) =>
    LEFT + ((scale(x) - scale(minX)) / (scale(maxX) - scale(minX) || 1)) * (WIDTH - LEFT - RIGHT);
  const toY = (y: number) => bottom - (y / maxY) * (bottom - TOP);

  const xTicks = chart.logarithmicX ? [...new Set(all.map(([x]) => x))] : ticks(maxX);
  const axes = [
    ...ticks(maxY).map((y) => rule(LEFT, toY(y), WIDTH - RIGHT, toY(y), 'grid') + text(LEFT - 8, toY(y) + 4, y, 'end')),
    ...xTicks.map((x) => rule(toX(x), bottom, toX(x), bottom + 5, 'axis') + text(toX(x), bottom + 20, x, 'middle')),
    rule(LEFT, bottom, WIDTH - RIGHT, bottom, 'axis'),
    text((LEFT + WIDTH - RIGHT) / 2, bottom + 40, chart.xLabel, 'middle'),
    `<text transform="translate(16 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(chart.yLabel)}</text>`,
    `<text x="${LEFT}" y="22" class="title">${escaped(chart.title)}</text>`,
  ];
  const marks = (chart.marks ?? []).map(({ name, x, y }) =>
    x === undefined
      ? rule(LEFT, toY(y ?? 0), WIDTH - RIGHT, toY(y ?? 0), 'mark') + text(WIDTH - RIGHT, toY(y ?? 0) - 5, name, 'end')
      : rule(toX(x), TOP, toX(x), bottom, 'mark') + text(toX(x) - 5, TOP + 12, name, 'end'),
  );
  const drawn = lines.map(({ points, look }) => {
    const inside = points.filter(([x]) => x <= maxX * 1.001);
    const path = inside
      .map(([x, y], at) => {
        const to = `${toX(x).toFixed(1)} ${toY(Math.min(y, maxY)).toFixed(1)}`;
        if (at === 0) return `M${to}`;
        return chart.steps ? `H${toX(x).toFixed(1)}V${toY(Math.min(y, maxY)).toFixed(1)}` : `L${to}`;
      })
      .join('');
    const dots = chart.dots
      ? inside.map(
          ([x, y]) => `<circle cx="${toX(x).toFixed(1)}" cy="${toY(y).toFixed(1)}" r="3.5" fill="${colour(look)}"/>`,
        )
      : [];
    return `<path d="${path}" ${stroke(look)}/>${dots.join('')}`;
  });
  const legend = lines.map(({ name, look }, index) => {
    const x = LEFT + (index % columns) * ((WIDTH - LEFT) / columns);
    const y = HEIGHT + 16 + Math.floor(index / columns) * LEGEND_LINE;
    return `<path d="M${x} ${y - 4}h26" ${stroke(look)}/>${text(x + 32, y, name, 'start')}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(chart.title)}">
<style>
  svg { font: 13px system-ui, sans-serif; color: #24292f }
  .ground { fill: #fff }
  text { fill: currentColor }
  .title { font-weight: 600; font-size: 15px }
  .grid { stroke: currentColor; stroke-opacity: .12 }
  .axis { stroke: currentColor; stroke-opacity: .6 }
  .mark { stroke: currentColor; stroke-opacity: .6; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) { svg { color: #e6edf3 } .ground { fill: #0d1117 } }
</style>
<rect width="100%" height="100%" class="ground"/>
${[...axes, ...marks, ...drawn, ...legend].join('\n')}
</svg>
`;
}

function thinned(points: Line['points']): Line['points'] {
  const step = Math.ceil(points.length / MAX_POINTS);
  return points.filter((_, index) => index % step === 0 || index === points.length - 1);
}

/** Four to eight of them, at 1, 2 or 5 times a power of ten. */
function ticks(max: number): number[] {
  const rough = max / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  const found: number[] = [];
  for (let index = 0; index * step <= max * 1.001; index++) found.push(Number((index * step).toPrecision(6)));
  return found;
}

function roundUp(max: number): number {
  const step = ticks(max)[1] ?? 1;
  return Math.ceil(max / step) * step;
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? '#0072b2';
}

function stroke(index: number): string {
  const dash = DASHES[index % DASHES.length];
  return `fill="none" stroke="${colour(index)}" stroke-width="2"${dash ? ` stroke-dasharray="${dash}"` : ''}`;
}

function rule(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" class="${kind}"/>`;
}

function text(x: number, y: number, value: string | number, anchor: 'start' | 'middle' | 'end'): string {
  const shown = typeof value === 'number' ? String(value) : escaped(value);
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${shown}</text>`;
}

function escaped(value: string): string {
  return value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
