/**
 * A FUSE connection being served: requests come through the ring from the thread that reads the device, and are answered
 * here, on the main thread, in the turn in which they come wherever the file system can.
 *
 * It ends when the kernel says ENODEV, which is when the mount is gone; then the thread, the descriptor and every wait
 * are given back. It knows neither mount(8) nor how the descriptor was come by.
 */
import { closeSync, constants, existsSync, ftruncateSync, openSync } from 'node:fs';
import { setTimeout as after } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CodedError, messageChain } from '../../base/errors.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { ERRNO, errnoOf, needsExplanation } from '../errno.ts';
import type { MountEnd, MountOptions } from '../transport.ts';
import { AnswerWriter } from './answer-writer.ts';
import { EncodedRequest } from './decode-request.ts';
import type { DeviceReaderData, DeviceReaderEnd } from './device-reader.ts';
import { uniquesIn, WaitingRequests } from './in-flight-journal.ts';
import { encodeInitReply, type Negotiated, negotiate } from './negotiation.ts';
import { answerUnknown, type Collaborators, claim, HANDLERS } from './operations.ts';
import { PendingRequest } from './pending-request.ts';
import { PROTOCOL_MINOR_PRUNE } from './protocol.ts';
import { Pruning } from './pruning.ts';
import { RequestLoop } from './request-loop.ts';
import { createRingMemory, RingReader } from './request-ring.ts';
import { RequestsInFlight } from './requests-in-flight.ts';
import { requestResend } from './resend.ts';
import { SuspectRequests } from './suspect-requests.ts';

/** While a session drains, how often it is looked whether all is answered. */
const DRAIN_POLL_MS = 5;

export interface Connection {
  /** An open /dev/fuse, bound to a mount. The session closes it. */
  readonly descriptor: number;
  /** What an earlier process negotiated on it; undefined where nobody has yet. */
  readonly negotiated?: Negotiated;
  /** True where another process may have left requests unanswered: they are asked for again. */
  readonly inherited?: boolean;
  /** A file that is written where the kernel cannot send requests again; the same one for every process in turn. */
  readonly journalPath?: string;
  /** A file for what processes worked on when they ended by themselves; the same one for every process in turn. */
  readonly suspectsPath?: string;
  /** True where the process before ended by itself without saying of what: whatever comes again is suspected. */
  readonly suspectAll?: boolean;
  /** True to do as if the kernel could not send requests again. */
  readonly withoutResend?: boolean;
  /** Called before the answer to INIT leaves, so that what was agreed outlives this process. */
  readonly onNegotiated?: (negotiated: Negotiated) => void;
  /** Called before an answer leaves that may depend on something to be kept first. */
  readonly beforeAnswer?: () => void;
  /** Called once, when the kernel has taken an answer to a request other than INIT: the session works. */
  readonly onFirstAnswer?: () => void;
}

export class FuseSession {
  /** What the kernel and we agreed on. @throws MOUNT_FAILED where it could not be, or the mount ended before. */
  readonly negotiated: Promise<Negotiated>;
  /** 'unmounted' after `detached()`, else 'lost'. Never rejects. */
  readonly ended: Promise<MountEnd>;
  readonly #connection: Connection;
  readonly #options: MountOptions;
  readonly #to: Collaborators;
  readonly #ring: RingReader;
  readonly #loop: RequestLoop;
  readonly #inFlight: RequestsInFlight;
  readonly #counts = new Map<string, number>();
  readonly #agreed = Promise.withResolvers<Negotiated>();
  readonly #journal: number | undefined;
  readonly #suspects: SuspectRequests | undefined;
  #pruning: Pruning | undefined;
  /** The request whose turn this is. */
  #handling: PendingRequest | undefined;
  readonly #readerStopped = Promise.withResolvers<void>();
  #detached = false;
  #gone = false;

  constructor(fileSystem: FileSystem, connection: Connection, options: MountOptions) {
    this.#connection = connection;
    this.#options = options;
    const answers = new AnswerWriter(connection.descriptor, options.logger, connection.beforeAnswer);
    this.#to = { fileSystem, answers };
    this.#inFlight = new RequestsInFlight((request, errno) => {
      if (claim(request)) answers.errno(request.unique, errno);
    });
    this.negotiated = this.#agreed.promise;
    // Nobody has to wait for it.
    this.negotiated.catch(() => undefined);
    const memory = createRingMemory();
    this.#ring = new RingReader(memory);
    this.#loop = new RequestLoop(this.#ring, (bytes) => {
      this.#handle(new EncodedRequest(bytes));
      this.#handling = undefined;
      this.#pruning?.step();
    });
    this.#journal = connection.journalPath === undefined ? undefined : openJournal(connection.journalPath);
    const { suspectsPath, suspectAll = false, inherited = false } = connection;
    if (suspectsPath !== undefined) {
      // An exception in the turn of a request is its own; one out of turn may be that of any that waits.
      this.#suspects = new SuspectRequests(suspectsPath, { inherited, suspectAll }, () =>
        this.#handling ? [this.#handling.unique] : this.#inFlight.uniques(),
      );
    }
    if (inherited) this.#takeOver();
    else if (this.#journal !== undefined) ftruncateSync(this.#journal);
    if (connection.negotiated) {
      this.#begin(connection.negotiated);
      answers.onFirst(connection.onFirstAnswer);
    }
    this.ended = this.#startReader(memory);
    this.#loop.start();
  }

  /** Requests by operation name. */
  get requestCounts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** To be called when the mount is detached on purpose: whoever waits is answered soon, and the end is no loss. */
  detached(): void {
    this.#detached = true;
    this.#inFlight.detach();
  }

  /**
   * Reads no more requests, and resolves when all that were read are answered. What comes then waits in the kernel for
   * the process that takes over. The thread that reads may be waiting for one more request; until one comes this waits.
   */
  async drain(): Promise<void> {
    this.#ring.stop();
    await Promise.race([this.#readerStopped.promise, this.ended]);
    while (!this.#gone && !(this.#ring.isEmpty && this.#inFlight.size === 0)) await after(DRAIN_POLL_MS);
  }

  /** What an earlier process left unanswered is asked for again or, where that cannot be, failed. */
  #takeOver(): void {
    const { answers } = this.#to;
    if (!this.#connection.withoutResend && requestResend(this.#connection.descriptor)) return;
    if (this.#journal === undefined) return;
    const failed = uniquesIn(this.#journal).filter((unique) => answers.errno(unique, ERRNO.EIO)).length;
    ftruncateSync(this.#journal);
    if (failed > 0) this.#options.logger.warn({ failed }, 'requests of a dead daemon were answered EIO');
  }

  /** The protocol is agreed on. */
  #begin(negotiated: Negotiated): void {
    if (this.#journal !== undefined && !negotiated.resend) {
      this.#ring.journal();
      this.#inFlight.journal(new WaitingRequests(this.#journal));
    }
    if (negotiated.minor >= PROTOCOL_MINOR_PRUNE) {
      this.#pruning = new Pruning(this.#to.fileSystem, this.#connection.descriptor, this.#options.logger);
    }
    this.#agreed.resolve(negotiated);
  }

  #startReader(ring: SharedArrayBuffer): Promise<MountEnd> {
    const { promise, resolve } = Promise.withResolvers<MountEnd>();
    const reader = new Worker(readerProgram(), {
      name: 'fuse-device-reader',
      workerData: { descriptor: this.#connection.descriptor, ring, journal: this.#journal } satisfies DeviceReaderData,
      execArgv: [],
      // It allocates nothing to speak of.
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, codeRangeSizeMb: 4, stackSizeMb: 1 },
    });
    let code = 'no word';
    reader.on('message', (end: DeviceReaderEnd) => {
      code = end.code;
    });
    reader.on('error', (error) => {
      code = messageChain(error);
    });
    reader.on('exit', () => {
      if (code === 'STOPPED') this.#readerStopped.resolve();
      else resolve(this.#finish(code));
    });
    return promise;
  }

  #finish(code: string): MountEnd {
    this.#gone = true;
    this.#loop.stop();
    if (code !== 'ENODEV') this.#options.logger.error({ code }, 'the FUSE device cannot be read any longer');
    this.#agreed.reject(new CodedError('MOUNT_FAILED', `the FUSE connection ended before it began: ${code}`));
    this.#suspects?.close();
    this.#inFlight.abandon();
    const close = () => closeSync(this.#connection.descriptor);
    if (this.#pruning) this.#pruning.end(close);
    else close();
    if (this.#journal !== undefined) closeSync(this.#journal);
    return this.#detached ? 'unmounted' : 'lost';
  }

  #handle(encoded: EncodedRequest): void {
    let request: PendingRequest | undefined;
    try {
      const header = encoded.header();
      request = new PendingRequest(header);
      this.#handling = request;
      const { operation } = header;
      this.#counts.set(operation, (this.#counts.get(operation) ?? 0) + 1);
      if (this.#refused(request)) return;
      if (this.#handledHere(operation, request, encoded)) return;
      const work = (HANDLERS[operation] ?? answerUnknown)(this.#to, request, encoded);
      if (!(work instanceof Promise)) return;
      const waiting = request;
      this.#inFlight.add(
        request,
        work.catch((error: unknown) => this.#fail(waiting, error)),
      );
    } catch (error) {
      if (request) this.#fail(request, error);
      else this.#options.logger.error({ error: messageChain(error) }, 'a FUSE request that cannot be answered');
    }
  }

  /** One that daemon after daemon crashed of is answered, and not tried again. */
  #refused(request: PendingRequest): boolean {
    const crashes = this.#suspects?.tooMany(request.unique);
    if (crashes === undefined || !claim(request)) return false;
    const { operation, node } = request;
    this.#options.logger.error({ operation, node, crashes }, 'a request that daemons crash of is answered EIO');
    this.#to.answers.errno(request.unique, ERRNO.EIO);
    return true;
  }

  /** The operations that concern the session itself. */
  #handledHere(operation: string, request: PendingRequest, encoded: EncodedRequest): boolean {
    switch (operation) {
      case 'FORGET':
        this.#to.fileSystem.forget(request.node, encoded.forgetCount());
        return true;
      case 'BATCH_FORGET':
        for (const { node, count } of encoded.batchForget()) this.#to.fileSystem.forget(node, count);
        return true;
      case 'INTERRUPT':
        this.#inFlight.interrupt(encoded.interrupted());
        return true;
      case 'INIT':
        this.#initialise(request, encoded);
        return true;
      default:
        return false;
    }
  }

  #initialise(request: PendingRequest, encoded: EncodedRequest): void {
    try {
      const offered = negotiate(encoded.init());
      const negotiated = this.#connection.withoutResend ? { ...offered, resend: false } : offered;
      this.#connection.onNegotiated?.(negotiated);
      this.#begin(negotiated);
      if (claim(request)) this.#to.answers.bytes(request.unique, [encodeInitReply(negotiated)]);
      this.#to.answers.onFirst(this.#connection.onFirstAnswer);
    } catch (error) {
      this.#agreed.reject(error);
      throw error;
    }
  }

  #fail(request: PendingRequest, error: unknown): void {
    // These have no answer: a reply would name a request that the kernel does not have.
    if (['FORGET', 'BATCH_FORGET', 'INTERRUPT'].includes(request.operation) || !claim(request)) return;
    const errno = errnoOf(error);
    if (needsExplanation(errno)) this.#options.onError?.(request.operation, request.node, error);
    this.#to.answers.errno(request.unique, errno);
  }
}

/** From source it is beside this file; bundled, beside the chunk that this is in, or one level above. */
function readerProgram(): URL {
  if (import.meta.url.endsWith('.ts')) return new URL('./device-reader.ts', import.meta.url);
  const beside = new URL('./device-reader.js', import.meta.url);
  return existsSync(beside) ? beside : new URL('../device-reader.js', import.meta.url);
}

/** For reading and writing in place, made where it is not there. */
function openJournal(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
}
