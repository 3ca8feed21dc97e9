/**
 * Docker's volume plugin protocol, version 1.1, as the engine speaks it (moby: pkg/plugins, volume/drivers): POST with a
 * JSON body, whatever the Content-Type; errors as HTTP 500 with `Err`.
 */

export const CONTENT_TYPE = 'application/vnd.docker.plugins.v1.1+json';

/** What any request may hold; which endpoint has what is Docker's documentation's to say. */
export interface PluginRequest {
  readonly Name?: string;
  readonly ID?: string;
  readonly Opts?: Readonly<Record<string, string>> | null;
}

export interface PluginVolume {
  readonly Name: string;
  readonly Mountpoint?: string;
  /** RFC 3339. */
  readonly CreatedAt?: string;
  readonly Status?: Readonly<Record<string, unknown>>;
}

/** The answer's fields, `Err` besides. */
export interface PluginReplies {
  readonly '/Plugin.Activate': { readonly Implements: readonly string[] };
  readonly '/VolumeDriver.Create': Record<never, never>;
  readonly '/VolumeDriver.Remove': Record<never, never>;
  readonly '/VolumeDriver.Mount': { readonly Mountpoint: string };
  readonly '/VolumeDriver.Unmount': Record<never, never>;
  readonly '/VolumeDriver.Path': { readonly Mountpoint: string };
  readonly '/VolumeDriver.Get': { readonly Volume: PluginVolume };
  readonly '/VolumeDriver.List': { readonly Volumes: readonly PluginVolume[] };
  readonly '/VolumeDriver.Capabilities': { readonly Capabilities: { readonly Scope: 'local' | 'global' } };
}
