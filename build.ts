/**
 * `npm run build`: bundles what is shipped into dist/, which runs without node_modules.
 *
 * Split into chunks, so that the check for an old Node runs before anything that it could not parse, and so that
 * `ipfs-volume status` does not load a FUSE implementation. fuse-native, an optional native addon, is never bundled: it is
 * used where it is installed.
 */
import { chmod, rm } from 'node:fs/promises';
import { build } from 'esbuild';

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: {
    cli: 'plugin/main.ts',
    'device-reader': 'src/fuse/kernel/device-reader.ts',
  },
  outdir: 'dist',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  external: ['fuse-native'],
  sourcemap: 'linked',
  // The daemon has all of it in memory for as long as it runs, and twice where a comment holds a letter that is no Latin-1.
  minifyWhitespace: true,
  legalComments: 'linked',
  logLevel: 'warning',
  // CommonJS packages among the dependencies ask for Node's modules by `require`.
  banner: {
    js: "import { createRequire as createNodeRequire } from 'node:module'; const require = createNodeRequire(import.meta.url);",
  },
});
await chmod('dist/cli.js', 0o755);
