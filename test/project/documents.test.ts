/**
 * The documents say what the code does: each table against what it describes, in both directions.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { FLAGS, readConfig } from '../../plugin/config.ts';
import { type MetricsSources, metricsText } from '../../plugin/daemon/metrics.ts';
import { registerServe } from '../../plugin/supervisor/serve-command.ts';
import { CodedError, type ErrorCode } from '../../src/base/errors.ts';
import { parseDurationMs, parseSize } from '../../src/base/units.ts';
import { WantStats } from '../../src/blocks/queue/want-stats.ts';
import { ERRNO, errnoOf } from '../../src/fuse/errno.ts';
import { parseVolumeOptions } from '../../src/volumes/volume-options.ts';
import { runCommand } from '../cli/support/run-command.ts';
import { PrometheusText } from '../support/prometheus.ts';

const CHECKOUT = new URL('../..', import.meta.url).pathname;
const read = (path: string): string => readFileSync(join(CHECKOUT, path), 'utf8');

/** Cells of each row of the tables below the heading `title`, as far as the next heading. */
function tableRows(document: string, title: string): string[][] {
  const section = document.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('| ---'));
  return rows.slice(1).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** What stands between backticks. */
const code = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();

/** Names that every program takes from its environment. */
const COMMON_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS'];
/** A managed plugin's socket is the engine's to name, and it has no fuse-native. */
const NOT_IN_THE_PLUGIN = ['IPFS_VOLUME_SOCKET', 'IPFS_VOLUME_TRANSPORT'];

interface PluginConfig {
  readonly env: readonly { readonly name: string; readonly value: string; readonly settable: readonly string[] }[];
}

describe('README.md', () => {
  const readme = read('README.md');

  test('has every volume option with its default, and no other', () => {
    const options = tableRows(readme, 'Volume options');
    const documented = options.map(([option]) => code(option)[0]?.replace(/=$/, '') ?? '');
    let known = '';
    try {
      parseVolumeOptions('any', { nonsense: '' }, { prefetch: 'auto', timeoutMs: 1 });
    } catch (error) {
      known = (error as Error).message.split('the options are ')[1] ?? '';
    }
    expect(sorted(documented)).toEqual(sorted(known.split(', ')));
    const spelled = Object.fromEntries(
      options.flatMap(([option, value]) => {
        const [text] = code(value);
        return text === undefined || text.startsWith('IPFS_VOLUME_')
          ? []
          : [[code(option)[0]?.slice(0, -1) ?? '', text]];
      }),
    );
    const reference = { cid: 'bafkqaaa' };
    const defaults = { prefetch: 'auto', timeoutMs: 1 } as const;
    expect(Object.keys(spelled).length).toBeGreaterThan(3);
    expect(parseVolumeOptions('any', { ...reference, ...spelled }, defaults)).toEqual(
      parseVolumeOptions('any', reference, defaults),
    );
  });
});

describe('docs/REFERENCE.md', () => {
  const reference = read('docs/REFERENCE.md');
  const rows = tableRows(reference, 'Configuration');

  test('has every variable of the configuration, and no other', () => {
    const documented = rows.flatMap(([variable]) => code(variable));
    expect(sorted(documented)).toEqual(sorted([...FLAGS.map(({ variable }) => variable), ...COMMON_VARIABLES]));
  });

  test('has the words of `serve --help`', async () => {
    const bare = (cell = '') => cell.replaceAll('`', '');
    const documented = rows.filter(([variable = '']) => variable.startsWith('`IPFS_VOLUME_'));
    expect(FLAGS.map(({ variable, fallback, meaning }) => [variable, fallback, meaning]).sort()).toEqual(
      documented.map((row) => row.map(bare)).sort(),
    );
    const parts = { loadCommands: async () => [registerServe] };
    const { stdout } = await runCommand(['serve', '--help'], { parts });
    const help = stdout.replace(/\s+/g, ' ');
    expect(help).toContain(
      '--cache-size <value> bound of the block cache on disk (default: IPFS_VOLUME_CACHE_SIZE, else 10GiB)',
    );
  });

  test('has the defaults of the configuration', () => {
    const defaults = rows.flatMap(([variable, value]) => {
      const [name = ''] = code(variable);
      const [text] = code(value);
      return text === undefined || COMMON_VARIABLES.includes(name) ? [] : [[name, text] as const];
    });
    expect(defaults.length).toBeGreaterThan(8);
    expect(readConfig(Object.fromEntries(defaults))).toEqual(readConfig({}));
  });

  test('has every command, and no other', async () => {
    const documented = tableRows(reference, 'Command line').map(
      ([command]) => code(command)[0]?.replace(/ [A-Z[].*$/, '') ?? '',
    );
    const commands: string[] = [];
    const parts = {
      loadCommands: async () => [
        registerServe,
        (program: Command) => {
          // Called first, when the program has but `serve`; the others are there once it parses.
          program.hook('preSubcommand', () => {
            commands.push(...commandPaths(program));
          });
        },
      ],
    };
    await runCommand(['status', '--socket', '/nowhere'], { parts });
    expect(sorted(documented)).toEqual(sorted(commands));
  });

  test('names what config.json lets be set, which has the same defaults', () => {
    const { env } = JSON.parse(read('config.json')) as PluginConfig;
    expect(sorted([...env.map(({ name }) => name), ...NOT_IN_THE_PLUGIN])).toEqual(
      sorted(rows.flatMap(([variable]) => code(variable))),
    );
    expect(env.filter(({ settable }) => !settable.includes('value'))).toEqual([]);
    const plugin = readConfig(Object.fromEntries(env.map(({ name, value }) => [name, value])));
    const { mountRoot, stateDirectory, ...same } = plugin;
    expect({ ...readConfig({}), ...same }).toEqual(readConfig({}));
    expect(reference).toContain(`(\`${mountRoot}\` in the plugin)`);
    expect(reference).toContain(`(\`${stateDirectory}\` in the plugin)`);
  });

  test('has every metric with its type and labels, and no other', () => {
    const text = metricsText(oneOfEach());
    const expected = [...new PrometheusText(text).metrics].map(([name, { type }]) => {
      const sample = new RegExp(`^${name}(?:_bucket)?\\{(.*)\\} `, 'm').exec(text)?.[1] ?? '';
      const labels = [...sample.matchAll(/(\w+)="/g)].map(([, label]) => label);
      return [name, type, ...labels.filter((label) => label !== 'le')].join(' ');
    });
    const documented = tableRows(reference, 'Metrics').map(([name, type, labels]) =>
      [code(name)[0], type, ...code(labels)].join(' '),
    );
    expect(expected.length).toBeGreaterThan(30);
    expect(sorted(documented)).toEqual(sorted(expected));
  });
});

/** What a daemon's metrics are written from, with one volume, one source and one operation, so that every label shows. */
function oneOfEach(): MetricsSources {
  const stats = new WantStats().snapshot();
  const volume = {
    name: 'v',
    state: 'mounted',
    mounts: 1,
    bytesTotal: 1,
    bytesCached: 1,
    counted: true,
    waiting: null,
    fetched: stats,
  };
  const source = { name: 's', state: 'good', blocks: 0, bytes: 0, errors: 0, inFlight: 0, limit: 1 };
  const counts = { hits: 0, misses: 0, evictions: 0, blocks: 0, bytes: 0, limitBytes: 0, roots: 0 };
  const content = {
    blocks: { stats, waiting: { demand: 0, readahead: 0, metadata: 0, profile: 0, background: 0 } },
    cache: { statistics: () => counts },
    memory: { sizeBytes: 0 },
    fileSystem: { nodeCount: 1 },
  };
  const status = { version: '1', volumes: [volume], sources: [source], store: counts };
  const sources = { content, status: () => status, requestCounts: new Map([['READ', 1]]), restarts: 0 };
  return sources as unknown as MetricsSources;
}

/** `serve`, `store ls`: whatever somebody can call. */
function commandPaths(command: Command, above = ''): string[] {
  return command.commands
    .filter((child) => child.name() !== 'help' && !(child as Command & { readonly _hidden?: boolean })._hidden)
    .flatMap((child) => {
      const path = `${above}${child.name()}`;
      return child.commands.length > 0 ? commandPaths(child, `${path} `) : [path];
    });
}

describe('docs/ARCHITECTURE.md', () => {
  test('the map names rooms that are there, every one of them, and files that are in them', () => {
    const map = read('docs/ARCHITECTURE.md').split('\n## Map of the code\n')[1]?.split('\n## ')[0] ?? '';
    const entries = map.split('\n- **').slice(1);
    const named = entries.map((entry) => code(entry.split('**')[0]));
    const absent = entries.flatMap((entry, index) => {
      const files = (named[index] ?? []).flatMap((directory) => filesIn(directory).map((path) => basename(path)));
      return code(entry).filter((name) => name.endsWith('.ts') && !files.includes(basename(name)));
    });
    expect(absent).toEqual([]);
    const rooms = readdirSync(join(CHECKOUT, 'src')).map((name) => `src/${name}/`);
    expect(sorted(named.flat())).toEqual(sorted([...rooms, 'plugin/', 'test/', 'bench/']));
  });

  test('files that it names by their path are there', () => {
    const prose = read('docs/ARCHITECTURE.md').replaceAll(/^```[\s\S]*?^```/gm, '');
    const paths = code(prose).filter((name) => /^(src|plugin|test)\/.*\.ts$/.test(name));
    expect(paths.length).toBeGreaterThan(30);
    expect(paths.filter((path) => !existsSync(join(CHECKOUT, path)))).toEqual([]);
  });
});

describe('docs/TROUBLESHOOTING.md', () => {
  const document = read('docs/TROUBLESHOOTING.md');
  const codes = [...read('src/base/errors.ts').matchAll(/^ {2}\| '([A-Z_]+)'/gm)].map(([, name]) => name as ErrorCode);

  test('has every error code with its errno, and no other', () => {
    const numbers = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name]));
    const expected = codes.map((name) => `${name} ${numbers.get(errnoOf(new CodedError(name, '')) as never)}`);
    const documented = tableRows(document, 'Every code').map(([name, errno]) => `${code(name)[0]} ${errno}`);
    expect(codes.length).toBeGreaterThan(30);
    expect(sorted(documented)).toEqual(sorted(expected));
  });

  test('explains each code by a text that users meet, but for those that need none', () => {
    const sections = document.split('\n### ').slice(1);
    const explained = sections.flatMap((section) => code(section.split('\n').slice(1).join('\n')));
    // A program's everyday answers, and what is a defect.
    const everyday = ['IS_A_DIRECTORY', 'NOT_A_SYMLINK', 'NAME_TOO_LONG', 'BAD_HANDLE', 'READ_ONLY', 'NO_ATTRIBUTE'];
    const needNone = [...everyday, 'ABORTED', 'INTERNAL'];
    expect(sorted(codes.filter((name) => !explained.includes(name)))).toEqual(sorted(needNone));
  });

  test('has no heading that is not the text of an error or of a log line', () => {
    const texts = sourceTexts();
    const headings = document.split('\n## Docker itself\n')[0]?.match(/^### `.*`$/gm) ?? [];
    expect(headings.length).toBeGreaterThan(50);
    const unknown = headings
      .map((heading) => heading.slice('### `'.length, -1))
      .filter((heading) => heading !== 'Transport endpoint is not connected')
      .filter((heading) => !texts.some((text) => matches(heading, text)));
    expect(unknown).toEqual([]);
  });
});

/** Every string of the source, with `…` for what is put in. */
function sourceTexts(): string[] {
  const files = [...filesIn('src'), ...filesIn('plugin')].filter((name) => name.endsWith('.ts'));
  return files.map(read).flatMap((source) => {
    const bare = source.replace(/\/\*.*?\*\//gs, '').replace(/(^|\s)\/\/ .*$/gm, '');
    return strings(bare).map((text) => text.replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…'));
  });
}

/** The string literals of a program; those that are added to each other are one. */
function strings(source: string): string[] {
  const found: string[] = [];
  let end = 0;
  for (const match of source.matchAll(/'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g)) {
    const text = match[1] ?? match[2] ?? '';
    const continues = /^\s*\+\s*$/.test(source.slice(end, match.index));
    if (continues) found.push((found.pop() ?? '') + text);
    else found.push(text);
    end = match.index + match[0].length;
  }
  return found;
}

/** `…` stands for anything, in either; what stands at the ends of the heading may be a cause, or the name of a source. */
function matches(heading: string, text: string): boolean {
  const core = heading.replace(/^…[ :]*|[ :]*…$/g, '');
  return asPattern(core, '.*').test(text) || (/\w{4}/.test(text) && asPattern(`^${text}$`, '.+').test(heading));
}

function asPattern(text: string, anything: string): RegExp {
  const parts = text.split('…').map((part) => part.replace(/[.*+?{}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join(anything), 's');
}

describe('what is promised', () => {
  test.each([
    ['docs/SEMANTICS.md', 40],
    ['docs/SECURITY.md', 15],
  ])('%s names for each claim a test that is there', (path, least) => {
    const document = read(path).replace(/\s+/g, ' ');
    const files = filesIn('test').filter((file) => file.endsWith('.ts'));
    const claims = [...document.matchAll(/[*_]([a-z-]+): "([^"]+)"[*_]/g)];
    expect(claims.length).toBeGreaterThan(least);
    const absent = claims.filter(([, name = '', title = '']) => {
      const named = files.filter((file) => basename(file).replace(/(\.property)?(\.test)?\.ts$/, '') === name);
      return !named.some((file) => read(file).includes(title));
    });
    expect(absent.map(([claim]) => claim)).toEqual([]);
  });

  test('limits are those of the code', () => {
    const rows = tableRows(read('docs/SEMANTICS.md'), 'Limits');
    expect(rows.length).toBeGreaterThan(15);
    for (const [what = '', limit = '', constant, file] of rows) {
      const [name = ''] = code(constant);
      const [, expression = 'not there'] = new RegExp(`const ${name} = ([^;]+);`).exec(read(code(file)[0] ?? '')) ?? [];
      expect(`${what}: ${numberOf(limit)}`).toBe(`${what}: ${calculated(expression)}`);
    }
  });
});

/** `2 MiB`, `20 s`, `1024`. */
function numberOf(text: string): number {
  if (/[0-9] (ms|s|m|h)$/.test(text)) return parseDurationMs(text);
  return /[A-Z]/i.test(text) ? parseSize(text) : Number(text);
}

/** Of products and powers of numbers, which is all that constants are made of. */
function calculated(expression: string): number {
  const plain = expression.replaceAll('_', '').replace(/(\d+) \*\* (\d+)/g, (_, base, power) => String(base ** power));
  return plain.split('*').reduce((product, factor) => product * Number(factor), 1);
}

describe('all documents', () => {
  const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...markdownIn('docs')];

  test.each(documents)('%s: each link leads to something that is there', (path) => {
    const broken = [...read(path).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => !exists(path, target));
    expect(broken).toEqual([]);
  });

  test('each decision stands in the list of them', () => {
    const index = read('docs/decisions/README.md');
    const decisions = markdownIn('docs/decisions').map((path) => basename(path));
    expect(decisions.filter((name) => name !== 'README.md' && !index.includes(`](${name})`))).toEqual([]);
  });

  test.each(documents)('%s: each file of the checkout that it names is there', (path) => {
    const named = code(read(path).replace(/```.*?```/gs, '')).filter((text) =>
      /^(src|plugin|test|bench|docs)\/[\w./-]+\.(ts|md)$/.test(text),
    );
    expect(named.filter((file) => !existsSync(join(CHECKOUT, file)))).toEqual([]);
  });
});

function markdownIn(directory: string): string[] {
  return filesIn(directory).filter((name) => name.endsWith('.md'));
}

function filesIn(directory: string): string[] {
  const names = readdirSync(join(CHECKOUT, directory), { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(directory, name));
}

/** A file beside the document, and the heading in it where one is named. */
function exists(from: string, target: string): boolean {
  const [file = '', anchor] = target.split('#');
  const path = file === '' ? from : relative(CHECKOUT, join(CHECKOUT, dirname(from), file));
  if (!existsSync(join(CHECKOUT, path))) return false;
  if (anchor === undefined || !path.endsWith('.md')) return true;
  const anchors = read(path)
    .split('\n')
    .filter((line) => /^#+ /.test(line))
    .map(anchorOf);
  return anchors.includes(anchor);
}

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  const text = heading.replace(/^#+ /, '').toLowerCase();
  return text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
}
