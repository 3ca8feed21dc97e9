/**
 * Asks a whole file system over a hostile DAG what a program would: attributes, listing, look-up, reading.
 *
 *   node try-hostile-dag.ts NAME       prints { peakBytes, outcomes } as JSON
 */
import { codeOf } from '../../../src/base/errors.ts';
import { BlockMap } from '../../support/block-map.ts';
import { DagBuilder } from '../../support/dag-builder.ts';
import { fileSystemOver, mountRoot } from '../../support/mount-content.ts';
import { context } from '../../support/walk-file-system.ts';
import { HOSTILE, type MakeDag } from './hostile-dags.ts';

const MIB = 1024 ** 2;

/** What a program would do with it, each outcome as a word: a number, `fine`, or the error's code. */
async function outcomes(make: MakeDag): Promise<Record<string, string>> {
  const blocks = new BlockMap();
  const root = make(new DagBuilder(blocks));
  const fileSystem = fileSystemOver(blocks);
  const attempt = async (work: () => Promise<unknown>): Promise<string> => {
    try {
      return String((await work()) ?? 'fine');
    } catch (error) {
      return codeOf(error);
    }
  };
  let node = 0;
  const found: Record<string, string> = {};
  found.lookup = await attempt(async () => {
    node = await mountRoot(fileSystem, root);
  });
  found.attributes = await attempt(async () => (await fileSystem.attributes(node, context)).sizeBytes);
  let names: Uint8Array[] = [];
  for (const withAttributes of [false, true]) {
    found[withAttributes ? 'ls -l' : 'ls'] = await attempt(async () => {
      names = [];
      await fileSystem.list(
        node,
        0,
        withAttributes,
        (entry) => names.push(Uint8Array.from(entry.name)) < 10_000,
        context,
      );
      return names.length;
    });
  }
  for (const [index, name] of names.slice(0, 5).entries()) {
    found[`look-up ${index}`] = await attempt(async () => {
      const { attributes } = await fileSystem.lookup(node, name, context);
      if (attributes.kind === 'symlink') return (await fileSystem.readLink(attributes.node, context)).length;
    });
  }
  for (const offset of [0, 2 ** 40, 2 ** 53 - 2]) {
    found[`read at ${offset}`] = await attempt(
      async () => Buffer.concat([...(await fileSystem.read(node, offset, MIB, context))]).length,
    );
  }
  // A directory at a time, as far as a path may go in the kernel.
  found.walk = await attempt(async () => {
    let depth = 0;
    for (let at = node; depth < 5000; depth++)
      at = (await fileSystem.lookup(at, Buffer.from('d'), context)).attributes.node;
    return depth;
  });
  return found;
}

const make = HOSTILE[process.argv[2] ?? ''];
if (make) {
  const found = await outcomes(make);
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  process.stdout.write(JSON.stringify({ peakBytes, outcomes: found }));
}
