import { randomUUID } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { CID } from 'multiformats/cid';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import type { VolumeSpec } from '../../src/fs/mounted-volume.ts';
import type { ContentResolver } from '../../src/volumes/content-resolver.ts';
import { StateFile } from '../../src/volumes/state-file.ts';
import { directoryNameOf } from '../../src/volumes/volume-name.ts';
import { mountsOf, type ResolvedContent } from '../../src/volumes/volume-record.ts';
import { VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const CONTENT: ResolvedContent = { cid: 'bafkqaaa', kind: 'file' };
const OTHER: ResolvedContent = { cid: 'bafyaabakaieac', kind: 'file' };
const staying = () => ({ signal: new AbortController().signal });

class Tree {
  /** And not removed since. */
  readonly expected = new Map<string, string>();
  expectVolume(name: string, root: CID): void {
    this.expected.set(name, root.toString());
  }
  readonly shown = new Map<string, VolumeSpec>();
  addVolume(spec: VolumeSpec): void {
    if (this.shown.has(spec.name)) throw new CodedError('VOLUME_EXISTS', spec.name);
    this.shown.set(spec.name, spec);
  }
  removeVolume(name: string): boolean {
    this.expected.delete(name);
    return this.shown.delete(name);
  }
  readonly forgotten: (string | undefined)[] = [];
  forgetVolume(_name: string, root: CID | undefined): void {
    this.forgotten.push(root?.toString());
  }
}

let directory: string;
let logger: RecordingLogger;
beforeEach(() => {
  logger = new RecordingLogger();
  directory = mkdtempSync(join(tmpdir(), 'ipfs-volume-registry-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open(
  content: ContentResolver['resolve'] = async () => CONTENT,
  connection = 'c1',
  isBound: (directoryName: string) => Promise<boolean> = async () => false,
  isHere: ContentResolver['isHere'] = () => true,
  resolveHere: ContentResolver['resolveHere'] = async () => undefined,
) {
  const tree = new Tree();
  const registry = new VolumeRegistry({
    state: new StateFile(directory, silentLogger()),
    connection,
    mountRoot: '/mnt/volumes',
    tree,
    content: { resolve: content, resolveHere, isHere },
    isBound,
    defaults: { prefetch: 'auto', timeoutMs: 1000 },
    logger,
  });
  return { tree, registry };
}

describe('the registry', () => {
  test('creating again with equal options is nothing, with others an error that names them', async () => {
    const { registry } = open();
    await registry.create('data', { cid: 'bafkqaaa' });
    await registry.create('data', { cid: 'bafkqaaa' });
    await expect(registry.create('data', { cid: 'bafkqaaa', uid: '1' })).rejects.toThrow(
      /uid was not given and is now 1/,
    );
    expect(registry.list()).toHaveLength(1);
  });

  test('mounts count by ID: the same ID twice, as docker cp does, needs two unmounts', async () => {
    const { registry, tree } = open();
    await registry.create('bafkqaaa', {});
    expect(await registry.mount('bafkqaaa', 'id', staying())).toBe('/mnt/volumes/bafkqaaa');
    await registry.mount('bafkqaaa', 'id', staying());
    await registry.mount('bafkqaaa', 'other', staying());
    await registry.unmount('bafkqaaa', 'id');
    await registry.unmount('bafkqaaa', 'other');
    expect(tree.shown.size).toBe(1);
    await registry.unmount('bafkqaaa', 'never-mounted');
    expect(tree.shown.size).toBe(1);
    await registry.unmount('bafkqaaa', 'id');
    expect(tree.shown.size).toBe(0);
  });

  test('a mount is told of before its root is here, where the reference has it, and taken back where it fails', async () => {
    const seen: [string, string][][] = [];
    let fails = true;
    const { registry, tree } = open(async () => {
      seen.push([...tree.expected]);
      if (fails) throw new CodedError('BLOCK_TIMEOUT', 'silent');
      return CONTENT;
    });
    await registry.create('a', { cid: 'bafkqaaa' });
    await expect(registry.mount('a', 'id', staying())).rejects.toMatchObject({ code: 'BLOCK_TIMEOUT' });
    expect([...seen, tree.expected.size]).toEqual([[['a', 'bafkqaaa']], 0]);
    fails = false;
    await registry.mount('a', 'id', staying());
    await registry.mount('a', 'id', staying());
    expect([...seen.slice(1), tree.expected.size]).toEqual([[['a', 'bafkqaaa']], 1]);
    // What stands behind a path, or a name, is known once it was looked up.
    await registry.create('b', { cid: 'bafkqaaa/sub' });
    await registry.create('c', { path: '/ipns/host.example' });
    for (const name of ['b', 'c']) await registry.mount(name, 'id', staying());
    expect([...tree.expected.keys()]).toEqual(['a']);
  });

  test('a Mount that fails takes nothing from a volume that has its name by then', async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    let silent = true;
    const { registry, tree } = open(async () => (silent ? promise : CONTENT));
    await registry.create('a', { cid: 'bafkqaaa' });
    const waiting = registry.mount('a', 'id', staying());
    await registry.remove('a');
    silent = false;
    await registry.create('a', { cid: 'bafkqaaa' });
    await registry.mount('a', 'other', staying());
    reject(new CodedError('BLOCK_TIMEOUT', 'silent'));
    await expect(waiting).rejects.toThrow();
    expect([...tree.shown.keys()]).toEqual(['a']);
  });

  test('what the engine left mounted is taken back when it removes the volume; other mounts and bound ones stay', async () => {
    let bound = true;
    const { registry, tree } = open(
      async () => CONTENT,
      'c1',
      async () => bound,
    );
    const engineId = '0123456789abcdef'.repeat(4);
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', engineId, staying());
    await registry.mount('bafkqaaa', 'ipfs-volume-mount-1', staying());
    await registry.reconcile('bafkqaaa');
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(2);
    bound = false;
    await registry.reconcile('bafkqaaa');
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
    await expect(registry.remove('bafkqaaa')).rejects.toThrow(/is mounted 1 time/);
    await registry.unmount('bafkqaaa', 'ipfs-volume-mount-1');
    await registry.mount('bafkqaaa', engineId, staying());
    await registry.reconcile('bafkqaaa');
    expect(tree.shown.size).toBe(0);
    await registry.remove('bafkqaaa');
    await expect(registry.reconcile('bafkqaaa')).rejects.toMatchObject({ code: 'VOLUME_NOT_FOUND' });
  });

  test('so is what an `ipfs-volume mount` left that was killed, once nothing is bound from it', async () => {
    let bound = true;
    const { registry, tree } = open(
      async () => CONTENT,
      'c1',
      async () => bound,
    );
    const name = `ipfs-volume-mount-${randomUUID()}`;
    await registry.create(name, { cid: 'bafkqaaa' });
    await registry.mount(name, name, staying());
    await registry.reconcile(name);
    await expect(registry.remove(name)).rejects.toThrow(/is mounted 1 time/);
    bound = false;
    await registry.reconcile(name);
    await registry.remove(name);
    expect(tree.shown.size).toBe(0);
  });

  test('a mount without an ID works', async () => {
    const { registry, tree } = open();
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', '', staying());
    await registry.unmount('bafkqaaa', '');
    expect(tree.shown.size).toBe(0);
  });

  test('a call that arrives twice counts once', async () => {
    const { registry } = open();
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', 'id', { ...staying(), call: 'call-1' });
    await registry.mount('bafkqaaa', 'id', { ...staying(), call: 'call-1' });
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
    await registry.mount('bafkqaaa', 'id', { ...staying(), call: 'call-2' });
    await registry.unmount('bafkqaaa', 'id', 'call-3');
    await registry.unmount('bafkqaaa', 'id', 'call-3');
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
  });

  test('a call that arrives twice counts once, whatever other calls with its ID came in between, and in another process', async () => {
    const { registry } = open();
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', 'id', { ...staying(), call: 'first' });
    await registry.mount('bafkqaaa', 'id', { ...staying(), call: 'second' });
    await registry.unmount('bafkqaaa', 'id', 'third');
    await registry.unmount('bafkqaaa', 'id', 'fourth');
    const next = open();
    for (const call of ['first', 'second'])
      expect(await next.registry.mount('bafkqaaa', 'id', { ...staying(), call })).toBe('/mnt/volumes/bafkqaaa');
    expect(mountsOf(next.registry.get('bafkqaaa'))).toBe(0);
    await next.registry.mount('bafkqaaa', 'id', { ...staying(), call: 'fifth' });
    expect(mountsOf(next.registry.get('bafkqaaa'))).toBe(1);
  });

  test('a mount whose caller has gone is taken back once, by the process that comes next', async () => {
    const first = open();
    await first.registry.create('bafkqaaa', {});
    await first.registry.mount('bafkqaaa', 'id', { ...staying(), call: 'stays' });
    await first.registry.mount('bafkqaaa', 'id', { ...staying(), call: 'leaves' });
    const { registry } = open();
    await registry.takeBack('bafkqaaa', 'id', 'leaves');
    await registry.takeBack('bafkqaaa', 'id', 'leaves');
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
    // One that had no effect yet has none any more.
    await registry.takeBack('bafkqaaa', 'id', 'late');
    await expect(registry.mount('bafkqaaa', 'id', { ...staying(), call: 'late' })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await registry.takeBack('removed meanwhile', 'id', 'leaves');
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
  });

  test('a caller that leaves while its mount is written leaves no count', async () => {
    const { registry, tree } = open();
    await registry.create('bafkqaaa', {});
    const caller = new AbortController();
    const mounting = registry.mount('bafkqaaa', 'id', { signal: caller.signal, call: 'call' });
    while (mountsOf(registry.get('bafkqaaa')) === 0) await new Promise((resolve) => setImmediate(resolve));
    caller.abort();
    await expect(mounting).rejects.toMatchObject({ code: 'ABORTED' });
    expect(tree.shown.size).toBe(0);
    expect(mountsOf(open().registry.get('bafkqaaa'))).toBe(0);
  });

  test('on a disk that takes nothing: create and mount fail and leave nothing, unmount succeeds and is written later', async () => {
    let { registry, tree } = open();
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', 'id', staying());
    const aside = `${directory}-aside`;
    renameSync(directory, aside);
    await expect(registry.create('bafyaabakaieac', {})).rejects.toMatchObject({
      message: `the state cannot be saved in ${directory}`,
      cause: { code: 'ENOENT' },
    });
    await expect(registry.mount('bafkqaaa', 'other', staying())).rejects.toThrow(/the state cannot be saved/);
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(1);
    await registry.unmount('bafkqaaa', 'id');
    expect(tree.shown.size).toBe(0);
    await expect(registry.remove('bafkqaaa')).rejects.toThrow(/the state cannot be saved/);
    expect(registry.list().map(({ name }) => name)).toEqual(['bafkqaaa']);
    renameSync(aside, directory);
    // Along with the next change.
    await registry.create('bafyaabakaieac', {});
    ({ registry, tree } = open());
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(0);
  });

  test('a failed mount leaves nothing, and the volume', async () => {
    const { registry, tree } = open(async () => {
      throw new CodedError('BLOCK_UNAVAILABLE', 'nobody has it');
    });
    await registry.create('bafkqaaa', {});
    await expect(registry.mount('bafkqaaa', 'id', staying())).rejects.toThrow('nobody has it');
    expect(tree.shown.size).toBe(0);
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(0);
    expect(registry.mountError('bafkqaaa')).toBe('nobody has it');
    await registry.remove('bafkqaaa');
  });

  test('the first mount of a known volume waits for its root block where that is not here, and says what is wrong', async () => {
    const asked: string[] = [];
    let here = true;
    let fails = false;
    const resolve: ContentResolver['resolve'] = async ({ reference, peers }) => {
      asked.push(`${'cid' in reference && [reference.cid, ...reference.path].join('/')} ${peers.length}`);
      if (fails) throw new CodedError('BLOCK_TIMEOUT', 'block bafkqaaa did not come');
      return CONTENT;
    };
    const reopen = (connection: string) =>
      open(resolve, connection, undefined, (cid) => here || cid.toString() !== CONTENT.cid);
    const { registry, tree } = reopen('c1');
    await registry.create('v', { cid: 'bafyaabakaieac/sub', peers: '/ip4/127.0.0.1/tcp/4001' });
    await registry.mount('v', 'a', staying());
    await registry.unmount('v', 'a');
    await registry.mount('v', 'a', staying());
    // Known and here: nobody is asked.
    expect(asked).toEqual(['bafyaabakaieac/sub 1']);

    // Mounted already, by this daemon or another of this connection: nobody is asked, whatever is here.
    here = false;
    fails = true;
    await registry.mount('v', 'b', staying());
    const next = reopen('c1');
    expect(next.tree.shown.size).toBe(1);
    await next.registry.mount('v', 'c', staying());
    expect(asked).toHaveLength(1);

    // A new connection: nothing of it is mounted, and the block itself is what is waited for.
    const last = reopen('c2');
    await expect(last.registry.mount('v', 'd', staying())).rejects.toThrow(
      /bafkqaaa did not come; "ipfs-volume doctor"/,
    );
    expect(asked.slice(1)).toEqual(['bafkqaaa 1']);
    expect([last.tree.shown.size, mountsOf(last.registry.get('v'))]).toEqual([0, 0]);
    expect(last.registry.mountError('v')).toMatch(/bafkqaaa did not come/);
    expect(last.registry.get('v').resolved).toEqual(CONTENT);
    fails = false;
    await last.registry.mount('v', 'd', staying());
    expect([last.tree.shown.size, last.registry.mountError('v')]).toEqual([1, null]);
    expect(tree.shown.size).toBe(1);
  });

  test('a caller that went away during a mount leaves no count', async () => {
    const { promise, resolve } = Promise.withResolvers<ResolvedContent>();
    const { registry, tree } = open(() => promise);
    await registry.create('bafkqaaa', {});
    const caller = new AbortController();
    const mounting = registry.mount('bafkqaaa', 'id', { signal: caller.signal });
    caller.abort();
    await expect(mounting).rejects.toMatchObject({ code: 'ABORTED' });
    resolve(CONTENT);
    await promise;
    expect(tree.shown.size).toBe(0);
  });

  test('mounts at the same time look the content up once', async () => {
    let lookups = 0;
    const { promise, resolve } = Promise.withResolvers<ResolvedContent>();
    const { registry } = open(() => {
      lookups++;
      return promise;
    });
    await registry.create('bafkqaaa', {});
    const mounting = [1, 2, 3].map((id) => registry.mount('bafkqaaa', `id-${id}`, staying()));
    resolve(CONTENT);
    await Promise.all(mounting);
    expect(lookups).toBe(1);
    expect(mountsOf(registry.get('bafkqaaa'))).toBe(3);
  });

  test('where a path leads is known without a Mount where that can be told here, and never in place of what was found', async () => {
    let here: ResolvedContent | undefined;
    const { registry } = open(
      async () => OTHER,
      'c1',
      undefined,
      undefined,
      async () => here,
    );
    await registry.create('v', { cid: `${CONTENT.cid}/sub` });
    await registry.look('v');
    expect(registry.get('v').resolved).toBeNull();
    here = CONTENT;
    await registry.look('v');
    expect(registry.get('v').resolved).toEqual(CONTENT);
    await registry.look('nobody');

    await registry.create('w', { cid: `${CONTENT.cid}/sub` });
    here = undefined;
    await registry.mount('w', 'm', staying());
    here = CONTENT;
    await registry.look('w');
    expect(registry.get('w').resolved).toEqual(OTHER);
  });

  test('a volume made anew under a name is looked up by itself, whatever its predecessor still waits for', async () => {
    const { promise, reject } = Promise.withResolvers<ResolvedContent>();
    const { registry, tree } = open((options) =>
      'cid' in options.reference && options.reference.cid.toString() === 'bafkqaaa' ? promise : Promise.resolve(OTHER),
    );
    await registry.create('name', { cid: 'bafkqaaa' });
    const waiting = registry.mount('name', 'a', staying());
    await registry.remove('name');
    await registry.create('name', { cid: OTHER.cid });
    await registry.mount('name', 'b', staying());
    expect(tree.shown.get('name')?.root.toString()).toBe(OTHER.cid);
    reject(new CodedError('BLOCK_TIMEOUT', 'silent'));
    await expect(waiting).rejects.toThrow('silent; "ipfs-volume doctor" says which sources answer');
    expect(registry.mountError('name')).toBeNull();
  });

  test('an IPNS name keeps what it led to while it is mounted, and is asked again afterwards', async () => {
    let version = 0;
    const { registry, tree } = open(async () => ({
      cid: ['bafkqaaa', 'bafyaabakaieac'][version++] ?? '',
      kind: 'file',
    }));
    await registry.create('name', { path: '/ipns/example.com' });
    const shown = (): string | undefined => tree.shown.get('name')?.root.toString();
    await registry.mount('name', 'a', staying());
    await registry.mount('name', 'b', staying());
    expect([version, shown()]).toEqual([1, 'bafkqaaa']);
    await registry.unmount('name', 'a');
    await registry.unmount('name', 'b');
    await registry.mount('name', 'c', staying());
    expect([version, shown()]).toEqual([2, 'bafyaabakaieac']);
  });

  test('what an IPNS name led to is let go of when it leads elsewhere, and when the volume is removed', async () => {
    let content = CONTENT;
    const { registry, tree } = open(async () => content);
    await registry.create('name', { path: '/ipns/example.com', pin: 'true' });
    await registry.mount('name', 'a', staying());
    await registry.unmount('name', 'a');
    await registry.mount('name', 'b', staying());
    await registry.unmount('name', 'b');
    expect(tree.forgotten).toEqual([]);
    content = OTHER;
    expect(await registry.content('name', staying().signal)).toBe(OTHER);
    await registry.mount('name', 'c', staying());
    expect([tree.forgotten, tree.shown.get('name')?.root.toString()]).toEqual([[CONTENT.cid], OTHER.cid]);
    await registry.unmount('name', 'c');
    // Another process: what was pinned is known to it too.
    const next = open(async () => content, 'c2');
    await next.registry.remove('name');
    expect(next.tree.forgotten).toEqual([OTHER.cid]);
  });

  test('an IPNS name is asked again after a restart that ended its mounts without an Unmount', async () => {
    const first = open();
    await first.registry.create('name', { path: '/ipns/example.com' });
    await first.registry.mount('name', 'a', staying());
    const second = open(async () => ({ cid: 'bafyaabakaieac', kind: 'file' }), 'c2');
    await second.registry.mount('name', 'a', staying());
    expect(second.tree.shown.get('name')?.root.toString()).toBe('bafyaabakaieac');
  });

  test('a volume in use is not removed; an unknown one is named', async () => {
    const { registry } = open();
    await registry.create('bafkqaaa', {});
    await registry.mount('bafkqaaa', 'id', staying());
    await expect(registry.remove('bafkqaaa')).rejects.toMatchObject({ code: 'VOLUME_IN_USE' });
    expect(() => registry.get('nothing')).toThrow('no such volume: nothing');
  });

  test('mounted volumes are back after a restart on the same connection, without asking anybody', async () => {
    const first = open();
    await first.registry.create('bafkqaaa', { uid: '7' });
    await first.registry.mount('bafkqaaa', 'id', staying());
    const second = open(() => Promise.reject(new Error('asked the network')));
    expect(second.tree.shown.get('bafkqaaa')).toMatchObject({ kind: 'file', uid: 7 });
    await second.registry.unmount('bafkqaaa', 'id');
    expect(second.tree.shown.size).toBe(0);
  });

  test('a new connection starts at zero, and keeps the volumes', async () => {
    const first = open();
    await first.registry.create('bafkqaaa', {});
    await first.registry.mount('bafkqaaa', 'id', staying());
    const second = open(undefined, 'c2');
    expect(second.tree.shown.size).toBe(0);
    expect(mountsOf(second.registry.get('bafkqaaa'))).toBe(0);
  });

  test('a new connection says which volumes were mounted on the one before: their containers see a dead mount', async () => {
    const first = open();
    for (const name of ['bafkqaaa', 'bafyaabakaieac']) await first.registry.create(name, {});
    await first.registry.mount('bafkqaaa', 'id', staying());
    open();
    expect(logger.lines).toEqual([]);
    const third = open(undefined, 'c2');
    expect(logger.lines).toMatchObject([{ level: 'warn', fields: { volumes: ['bafkqaaa'], count: 1 } }]);
    await third.registry.unmount('bafkqaaa', 'id');
    open(undefined, 'c3');
    expect(logger.lines).toHaveLength(1);
  });

  test('any interleaving: the tree shows what is mounted, and what was acknowledged outlives the process', async () => {
    const home = directory;
    const names = ['bafkqaaa', 'bafyaabakaieac'];
    const step = fc.record({
      verb: fc.constantFrom('create', 'mount', 'leave', 'unmount', 'remove', 'restart'),
      name: fc.constantFrom(...names),
      id: fc.constantFrom('', 'a', 'b'),
      fails: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        // Each by itself: what the one before began to write may be on its way still.
        directory = mkdtempSync(join(home, 'run-'));
        let fails = false;
        const resolve: ContentResolver['resolve'] = async () => {
          if (fails) throw new CodedError('BLOCK_TIMEOUT', 'silent');
          return CONTENT;
        };
        let { registry, tree } = open(resolve);
        const counts = new Map<string, Map<string, number>>();
        for (const { verb, name, id, ...given } of steps) {
          fails = given.fails;
          const known = counts.get(name);
          const count = known?.get(id) ?? 0;
          const total = [...(known?.values() ?? [])].reduce((sum, one) => sum + one, 0);
          const outcome = await attempt(async () => {
            if (verb === 'create') await registry.create(name, {});
            else if (verb === 'mount') await registry.mount(name, id, staying());
            else if (verb === 'leave') await registry.mount(name, id, { signal: AbortSignal.abort() });
            else if (verb === 'unmount') await registry.unmount(name, id);
            else if (verb === 'remove') await registry.remove(name);
            else {
              // Nothing of it may still be on its way to the file.
              await registry.unmount('nothing', '').catch(() => undefined);
              ({ registry, tree } = open(resolve));
            }
          });
          if (verb === 'create') counts.set(name, known ?? new Map());
          if (verb === 'mount' && outcome) known?.set(id, count + 1);
          if (verb === 'unmount' && count > 0) known?.set(id, count - 1);
          if (verb === 'leave') expect(outcome).toBe(false);
          if (verb === 'remove') {
            expect(outcome).toBe(known !== undefined && total === 0);
            if (outcome) counts.delete(name);
          }
          expect(
            registry
              .list()
              .map((record) => record.name)
              .sort(),
          ).toEqual([...counts.keys()].sort());
          for (const [known, ids] of counts) {
            const mounts = [...ids.values()].reduce((sum, one) => sum + one, 0);
            expect(mountsOf(registry.get(known))).toBe(mounts);
            expect(tree.shown.has(directoryNameOf(known))).toBe(mounts > 0);
          }
        }
      }),
      { numRuns: 60 },
    );
    directory = home;
  });
});

async function attempt(work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return false;
  }
}
