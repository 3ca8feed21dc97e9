/**
 * The daemon's API over its unix socket, as `volumes/control-api.ts` has it, and the calls of Docker's that `mount` needs.
 *
 * Each method is one request. An error that the daemon answers with is thrown with its code and message; a connection
 * that breaks is DAEMON_UNREACHABLE; a caller that went away is ABORTED. No time-outs: a prefetch may take hours, and
 * Ctrl-C is there.
 */
import type { Readable } from 'node:stream';
import { Client, type Dispatcher } from 'undici';
import { CodedError, type ErrorCode } from '../base/errors.ts';
import {
  CONTROL_PATHS,
  type ControlError,
  type DaemonStatus,
  type Diagnosis,
  type Evicted,
  EXPORT_HEADERS,
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

/** A CAR on its way here; all of `car` is to be read, or the client disposed. */
export interface ExportedCar {
  readonly blocks: number;
  /** In the blocks, and of the CAR. */
  readonly bytes: number;
  readonly carBytes: number;
  /** Ends only where it is whole. Throws DAEMON_UNREACHABLE where the daemon broke off, ABORTED. */
  readonly car: AsyncIterable<Uint8Array>;
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

  /** The DAG below `cid` as a CAR, from the daemon's local store. @throws NOT_IN_STORE for what is not there, or not all of it */
  async exportCar(cid: string, options: CallOptions = {}): Promise<ExportedCar> {
    const path = CONTROL_PATHS.storeCar.replace(':cid', encodeURIComponent(cid));
    const { statusCode, headers, body } = await this.#request({ method: 'GET', path }, options);
    if (statusCode >= 400) throw errorOf(statusCode, parseJson(await this.#textOf(body, options)));
    const [blocks, bytes, carBytes] = [EXPORT_HEADERS.blocks, EXPORT_HEADERS.bytes, 'content-length'].map((name) =>
      Number(headers[name]),
    ) as [number, number, number];
    return { blocks, bytes, carBytes, car: this.#wholeCar(body, carBytes, options) };
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
    const response = await this.#request({ method, path, body: body ?? null }, options);
    const parsed = parseJson(await this.#textOf(response.body, options));
    if (response.statusCode < 400 && parsed !== undefined) return parsed as T;
    throw errorOf(response.statusCode, parsed);
  }

  async #request(
    request: { readonly method: Method; readonly path: string; readonly body?: Readable | string | null },
    { signal }: CallOptions,
  ): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#client.request({ ...request, signal: signal ?? null });
    } catch (cause) {
      throw this.#broken(cause, 'went away before it answered', signal);
    }
  }

  async #textOf(body: Dispatcher.ResponseData['body'], { signal }: CallOptions): Promise<string> {
    try {
      return await body.text();
    } catch (cause) {
      throw this.#broken(cause, 'went away before it answered', signal);
    }
  }

  async *#wholeCar(body: Readable, carBytes: number, { signal }: CallOptions): AsyncGenerator<Uint8Array> {
    let length = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        length += chunk.length;
        yield chunk;
      }
    } catch {
      // No cause: how a connection breaks tells nobody more.
      throw this.#broken(undefined, 'broke off in the middle of the CAR; start the command again', signal);
    }
    if (length !== carBytes) throw this.#broken(undefined, 'sent a CAR of another length than it said', signal);
  }

  #broken(cause: unknown, how: string, signal: AbortSignal | undefined): CodedError {
    if (signal?.aborted) return new CodedError('ABORTED', 'interrupted', { cause });
    return new CodedError('DAEMON_UNREACHABLE', `the daemon at ${this.socketPath} ${how}`, { cause });
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
