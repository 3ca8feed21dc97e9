/** The managed plugin on an engine and off it again: built, set, enabled; disabled, removed. */

import { readConfig } from '../config.ts';
import { type BuildOptions, buildPlugin } from './build-plugin.ts';
import { docker, hasPlugin } from './docker.ts';

export interface InstallOptions extends BuildOptions {
  /** `KEY=VALUE`, the variables of config.json. */
  readonly settings: readonly string[];
}

/** @throws where the name is taken, CONFIG_INVALID for a setting that cannot be used, and with what docker said; no plugin is left behind then. */
export async function installPlugin({ settings, ...build }: InstallOptions): Promise<void> {
  const { name } = build;
  if (await hasPlugin(name)) {
    throw new Error(
      `there is a plugin "${name}" already: "docker plugin set" changes its settings, "npm run plugin:remove" removes it with ` +
        'its local store and cache',
    );
  }
  // A plugin that stops over its settings says why in the engine's log alone; here it can be said at once.
  readConfig(Object.fromEntries(settings.map((setting) => setting.split(/=(.*)/s, 2) as [string, string])));
  await buildPlugin(build);
  try {
    if (settings.length > 0) await docker(['plugin', 'set', name, ...settings]);
    await docker(['plugin', 'enable', name]);
  } catch (error) {
    await docker(['plugin', 'rm', '--force', name]).catch(() => undefined);
    throw error;
  }
}

/** Its state goes with it. @throws where its volumes are in use, unless by `force`. */
export async function removePlugin(name: string, { force = false } = {}): Promise<void> {
  if (!(await hasPlugin(name))) throw new Error(`there is no plugin "${name}"`);
  const flag = force ? ['--force'] : [];
  await docker(['plugin', 'disable', ...flag, name]).catch((error: Error) => {
    if (/is in use/.test(error.message)) {
      throw new Error(
        `${error.message}: remove its volumes (see "docker volume ls") first, or say "npm run plugin:remove -- --force"`,
      );
    }
    if (!/already disabled/.test(error.message)) throw error;
  });
  await docker(['plugin', 'rm', ...flag, name]);
}
