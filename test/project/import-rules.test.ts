/**
 * The import rules of `npm run check`: every import that the layers forbid fails, every one that they allow passes.
 *
 * A tree is made with one file for each pair of rooms, and the checkout's own biome.json is run over it.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const CHECKOUT = new URL('../..', import.meta.url).pathname;

/** What each room of src/ may import; docs/ARCHITECTURE.md says why. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  blocks: ['base'],
  sources: ['base', 'blocks'],
  cache: ['base', 'blocks'],
  unixfs: ['base', 'blocks'],
  fs: ['base', 'blocks', 'unixfs'],
  fuse: ['base', 'blocks', 'unixfs', 'fs'],
  prefetch: ['base', 'blocks', 'unixfs', 'fs'],
  volumes: ['base', 'blocks', 'unixfs', 'fs', 'fuse', 'prefetch'],
  cli: ['base', 'blocks', 'unixfs', 'fs', 'fuse', 'prefetch', 'volumes'],
};
const ROOMS = Object.keys(LAYERS);

/** The files that alone may import a package; a folder stands for all that is in it. */
const PACKAGES: Readonly<Record<string, string>> = {
  express: 'plugin/',
  'kubo-rpc-client': 'src/sources/kubo-control.ts',
  'fuse-native': 'src/fuse/libfuse/fuse-native.ts',
};

interface Probe {
  readonly file: string;
  readonly imports: string;
  readonly isAllowed: boolean;
}

function probes(): Probe[] {
  const all: Probe[] = [];
  for (const room of ROOMS) {
    for (const other of ROOMS.filter((name) => name !== room)) {
      const isAllowed = LAYERS[room]?.includes(other) === true;
      all.push({ file: `src/${room}/to-${other}.ts`, imports: `../${other}/x.ts`, isAllowed });
      all.push({ file: `src/${room}/deep/er/to-${other}.ts`, imports: `../../../${other}/y/x.ts`, isAllowed });
    }
    for (const outside of ['plugin', 'test', 'bench']) {
      all.push({ file: `src/${room}/to-${outside}.ts`, imports: `../../${outside}/x.ts`, isAllowed: false });
    }
    all.push({ file: `src/${room}/to-itself.ts`, imports: './x.ts', isAllowed: true });
    all.push({ file: `src/${room}/to-node.ts`, imports: 'node:fs/promises', isAllowed: true });
  }
  for (const [name, owner] of Object.entries(PACKAGES)) {
    const places = [...ROOMS.map((room) => `src/${room}/takes-${name}.ts`), `plugin/takes-${name}.ts`, owner];
    for (const file of places.filter((place) => !place.endsWith('/'))) {
      all.push({ file, imports: name, isAllowed: owner.endsWith('/') ? file.startsWith(owner) : file === owner });
    }
  }
  for (const outside of ['test', 'bench']) {
    all.push({ file: `plugin/to-${outside}.ts`, imports: `../${outside}/x.ts`, isAllowed: false });
  }
  for (const room of ROOMS) {
    all.push({ file: `plugin/to-${room}.ts`, imports: `../src/${room}/x.ts`, isAllowed: true });
  }
  return all;
}

const tree = mkdtempSync(join(tmpdir(), 'ipfs-volume-rules-'));
afterAll(() => rmSync(tree, { recursive: true, force: true }));

function write(file: string, text: string): void {
  mkdirSync(dirname(join(tree, file)), { recursive: true });
  writeFileSync(join(tree, file), text);
}

/** `file` of each complaint of `rule`, from biome run over the tree with the checkout's configuration. */
function complaints(rule: string): Set<string> {
  const biome = join(CHECKOUT, 'node_modules/.bin/biome');
  const args = ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', `--only=${rule}`, '.'];
  const { stdout, stderr } = spawnSync(biome, args, { cwd: tree, encoding: 'utf8' });
  const report = JSON.parse(stdout) as {
    diagnostics: { category: string; severity: string; location: { path: string } }[];
  };
  expect(report.diagnostics.length, stderr).toBeGreaterThan(0);
  return new Set(
    report.diagnostics
      .filter(({ category, severity }) => category === `lint/${rule}` && severity === 'error')
      .map(({ location }) => location.path.replace(`${tree}/`, '')),
  );
}

copyFileSync(join(CHECKOUT, 'biome.json'), join(tree, 'biome.json'));
copyFileSync(join(CHECKOUT, 'package.json'), join(tree, 'package.json'));

test('the rooms of src/ are those that have a rule', () => {
  expect(readdirSync(join(CHECKOUT, 'src')).sort()).toEqual([...ROOMS].sort());
});

test('imports go down only, and a package is known where it belongs alone', () => {
  const all = probes();
  for (const { file, imports } of all) write(file, `export type { X } from '${imports}';\nimport('${imports}');\n`);
  const found = complaints('style/noRestrictedImports');
  const shouldFail = all.filter(({ isAllowed }) => !isAllowed).map(({ file }) => file);
  expect([...found].sort()).toEqual([...new Set(shouldFail)].sort());
});

test('files do not import each other in a circle', () => {
  write('src/base/one.ts', "import { two } from './two.ts';\nexport const one = () => two;\n");
  write('src/base/two.ts', "import { one } from './one.ts';\nexport const two = () => one;\n");
  expect([...complaints('suspicious/noImportCycles')].sort()).toEqual(['src/base/one.ts', 'src/base/two.ts']);
});

test('a package that is not in package.json is not imported', () => {
  write('src/base/undeclared.ts', "import 'left-pad';\n");
  expect([...complaints('correctness/noUndeclaredDependencies')]).toEqual(['src/base/undeclared.ts']);
});

test('`npm run check` runs the compiler, these rules and the search for unused code', () => {
  const { scripts } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  expect(scripts.check).toBe('tsc --noEmit && biome check --error-on-warnings . && knip');
});
