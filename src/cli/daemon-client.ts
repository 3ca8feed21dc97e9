/**
 * The daemon's API over its unix socket, as `volumes/control-api.ts` has it, and the calls of Docker's that `mount` needs.
 *
 * Each method is one request. An error that the daemon answers with is thrown with its code and message; a connection
 * that breaks is DAEMON_UNREACHABLE; a caller that went away is ABORTED. No time-outs: a prefetch may take hours, and
 * Ctrl-C is there.
 */
import type { Readable } from 'node:stream';
import { Client } from 'undici';
import { CodedError, type ErrorCode } from '../base/errors.ts';
import {
  CONTROL_PATHS,
  type ControlError,
  type DaemonStatus,
  type Diagnosis,
  type Evicted,
  type GcResult,
  type ImportResult,
  type ProfileSummary,
  type StoredRoot,
  type VolumeStatus,
} from '../volumes/control-api.ts';
import { findSocket, type SocketSearch } from './find-socket.ts';

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

type Method = 'GET' | 'POST' | 'DELETE';

export class DaemonClient implements AsyncDisposable {
  readonly socketPath: string;
  readonly #client: Client;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#client = new Client('http://ipfs-volume', {
      connect: { socketPath, timeout: 10_000 },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** A client of the daemon that `search` finds. @throws DAEMON_UNREACHABLE */
  static async find(search: SocketSearch): Promise<DaemonClient> {
    return new DaemonClient(await findSocket(search));
  }

  status(options?: CallOptions): Promise<DaemonStatus> {
    return this.#call('GET', CONTROL_PATHS.status, undefined, options);
  }

  doctor(options?: CallOptions): Promise<Diagnosis[]> {
    return this.#call('GET', CONTROL_PATHS.doctor, undefined, options);
  }

  /** Streams a CAR; `rootIsLast` where it names no root and its last block is the root. The stream is consumed or destroyed. */
  import(car: Readable, options: CallOptions & { readonly rootIsLast?: boolean } = {}): Promise<ImportResult> {
    return this.#call('POST', CONTROL_PATHS.import + (options.rootIsLast ? '?root=last' : ''), car, options);
  }

  storedRoots(options?: CallOptions): Promise<StoredRoot[]> {
    return this.#call('GET', CONTROL_PATHS.store, undefined, options);
  }

  async removeRoot(cid: string, options?: CallOptions): Promise<void> {
    await this.#call('DELETE', CONTROL_PATHS.storeRoot.replace(':cid', encodeURIComponent(cid)), undefined, options);
  }

  collectGarbage(options?: CallOptions): Promise<GcResult> {
    return this.#call('POST', CONTROL_PATHS.storeGc, undefined, options);
  }

  profiles(options?: CallOptions): Promise<ProfileSummary[]> {
    return this.#call('GET', CONTROL_PATHS.profiles, undefined, options);
  }

  /** As its file has it. */
  profile(name: string, options?: CallOptions): Promise<object> {
    return this.#call('GET', CONTROL_PATHS.profile.replace(':name', encodeURIComponent(name)), undefined, options);
  }

  /** `text` is a profile's file; kept under `name` too where one is given. */
  importProfile(text: string, name?: string, options?: CallOptions): Promise<ProfileSummary> {
    const query = name === undefined ? '' : `?name=${encodeURIComponent(name)}`;
    return this.#call('POST', CONTROL_PATHS.profileImport + query, text, options);
  }

  prefetch(volume: string, options?: CallOptions): Promise<VolumeStatus> {
    return this.#call('POST', volumePath(CONTROL_PATHS.prefetch, volume), undefined, options);
  }

  evict(volume: string, options?: CallOptions): Promise<Evicted> {
    return this.#call('POST', volumePath(CONTROL_PATHS.evict, volume), undefined, options);
  }

  /** A call of Docker's VolumeDriver protocol, such as `volumeDriver('Mount', { Name, ID })`. */
  volumeDriver<T>(verb: string, body: object, options?: CallOptions): Promise<T> {
    return this.#call('POST', `/VolumeDriver.${verb}`, JSON.stringify(body), options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.destroy();
  }

  async #call<T>(method: Method, path: string, body?: Readable | string, options: CallOptions = {}): Promise<T> {
    const { signal } = options;
    let statusCode: number;
    let text: string;
    try {
      const response = await this.#client.request({ method, path, body: body ?? null, signal: signal ?? null });
      statusCode = response.statusCode;
      text = await response.body.text();
    } catch (cause) {
      if (signal?.aborted) throw new CodedError('ABORTED', 'interrupted', { cause });
      const what = `the daemon at ${this.socketPath} went away before it answered`;
      throw new CodedError('DAEMON_UNREACHABLE', what, { cause });
    }
    const parsed = parseJson(text);
    if (statusCode < 400 && parsed !== undefined) return parsed as T;
    throw errorOf(statusCode, parsed);
  }
}

function volumePath(template: string, volume: string): string {
  return template.replace(':volume', encodeURIComponent(volume));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Both forms of an error: our own `{ code, message }` and Docker's `{ Err }`. */
function errorOf(statusCode: number, body: unknown): CodedError {
  const { code, message, Err } = (body ?? {}) as Partial<ControlError> & { Err?: string };
  if (message) return new CodedError((code ?? 'INTERNAL') as ErrorCode, message);
  if (Err) return new CodedError('INTERNAL', Err);
  const advice = statusCode === 404 ? ': is it an older version, or not ours?' : '';
  return new CodedError('INTERNAL', `the daemon answered ${statusCode} without saying why${advice}`);
}
