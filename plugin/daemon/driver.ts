/**
 * Docker's verbs on our volumes: one entry an endpoint, from a checked request to the answer's fields.
 */
import { CodedError } from '../../src/base/errors.ts';
import type { MountCall, VolumeRegistry } from '../../src/volumes/volume-registry.ts';
import type { VolumeStatuses } from '../../src/volumes/volume-status.ts';
import type { PluginReplies, PluginRequest, PluginVolume } from './protocol.ts';

export type Verbs = {
  readonly [Path in keyof PluginReplies]: (
    request: PluginRequest,
    call: MountCall,
  ) => PluginReplies[Path] | Promise<PluginReplies[Path]>;
};

export function driver(registry: VolumeRegistry, statuses: VolumeStatuses): Verbs {
  const volume = (name: string): PluginVolume => {
    const status = statuses.of(name);
    return {
      Name: name,
      // Asked before it is mounted, a volume has no mountpoint (and the engine does not translate this one).
      ...(status.mountpoint === null ? {} : { Mountpoint: status.mountpoint }),
      CreatedAt: status.createdAt,
    };
  };
  return {
    '/Plugin.Activate': () => ({ Implements: ['VolumeDriver'] }),
    '/VolumeDriver.Capabilities': () => ({ Capabilities: { Scope: 'local' } }),
    '/VolumeDriver.Create': async (request) => {
      await registry.create(nameOf(request), optionsOf(request));
      return {};
    },
    '/VolumeDriver.Remove': async (request, { repeated }) => {
      const name = nameOf(request);
      // The first attempt may have removed it and died before it could say so.
      if (repeated && !registry.has(name)) return {};
      await registry.reconcile(name);
      await registry.remove(name);
      return {};
    },
    '/VolumeDriver.Mount': async (request, call) => {
      const name = nameOf(request);
      const id = request.ID ?? '';
      if (!call.givenUp) return { Mountpoint: await registry.mount(name, id, call) };
      await registry.takeBack(name, id, call.call);
      return { Mountpoint: '' };
    },
    '/VolumeDriver.Unmount': async (request, { call }) => {
      await registry.unmount(nameOf(request), request.ID ?? '', call);
      return {};
    },
    '/VolumeDriver.Path': (request) => ({ Mountpoint: statuses.of(nameOf(request)).mountpoint ?? '' }),
    '/VolumeDriver.Get': (request) => {
      const name = nameOf(request);
      const { name: _name, mountpoint: _mountpoint, createdAt: _createdAt, ...status } = statuses.of(name);
      return { Volume: { ...volume(name), Status: status } };
    },
    '/VolumeDriver.List': () => ({ Volumes: registry.list().map(({ name }) => volume(name)) }),
  };
}

function nameOf({ Name: name }: PluginRequest): string {
  if (typeof name !== 'string' || name === '') throw new CodedError('REQUEST_INVALID', 'the request has no Name');
  return name;
}

/** Options are strings in the engine's own types; whoever else speaks here is told. */
function optionsOf({ Opts: options }: PluginRequest): Readonly<Record<string, string>> {
  const given = options ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) throw new CodedError('REQUEST_INVALID', 'Opts is no object');
  for (const [key, value] of Object.entries(given)) {
    if (typeof value !== 'string') throw new CodedError('REQUEST_INVALID', `the option "${key}" is no string`);
  }
  return given;
}
