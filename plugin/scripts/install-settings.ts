/** What `docker plugin set` will take, told before anything is built: it says that a name is unknown, and not which are known. */
import { readFileSync } from 'node:fs';

interface PluginVariable {
  readonly name: string;
  readonly settable?: readonly string[];
}

/** What is wrong with the first of `settings` (`KEY=VALUE`) that the plugin's config.json cannot take; undefined where all are well. */
export function settingsProblem(settings: readonly string[]): string | undefined {
  const text = readFileSync(new URL('../../config.json', import.meta.url), 'utf8');
  const { env } = JSON.parse(text) as { readonly env: readonly PluginVariable[] };
  const names = env.filter(({ settable }) => settable?.includes('value')).map(({ name }) => name);
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    if (equals < 1) return `${setting}: settings are KEY=VALUE, with the variables of docs/REFERENCE.md`;
    const name = setting.slice(0, equals);
    if (!names.includes(name)) return `there is no setting "${name}": those of the plugin are ${names.join(', ')}`;
  }
  return undefined;
}
