/**
 * The control API (`src/volumes/control-api.ts`) on express: what the command line asks the daemon for.
 */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import express, { type ErrorRequestHandler, type Request, type Response, type Router } from 'express';
import type { CID } from 'multiformats/cid';
import { codeOf, type ErrorCode, messageChain } from '../../src/base/errors.ts';
import { encodeProfile, MAX_PROFILE_BYTES } from '../../src/prefetch/boot-profile.ts';
import {
  CONTROL_PATHS,
  type ControlError,
  type DaemonStatus,
  type Diagnosis,
  type GcResult,
  type ImportResult,
  type StoredRoot,
} from '../../src/volumes/control-api.ts';
import { parseCid } from '../../src/volumes/reference.ts';
import type { StoreExport } from '../../src/volumes/store-export.ts';
import type { VolumeCommands } from '../volume-commands.ts';
import { callOf } from './call.ts';
import { METRICS_CONTENT_TYPE } from './metrics-text.ts';
import { sendCar } from './send-car.ts';

/** Who does what the routes ask for. */
export interface ControlCollaborators extends VolumeCommands {
  status(): DaemonStatus;
  /** In Prometheus' text format. */
  metrics(): string;
  diagnose(signal: AbortSignal): Promise<readonly Diagnosis[]>;
  /** Takes a CAR; `lastIsRoot` where it names no root and its last block is the root. Ends when `signal` aborts. */
  importCar(car: Readable, lastIsRoot: boolean, signal: AbortSignal): Promise<ImportResult>;
  storedRoots(): readonly StoredRoot[];
  /** @throws NOT_IN_STORE */
  removeRoot(cid: CID): void | Promise<void>;
  collectGarbage(): Promise<GcResult>;
  /** Finds all of the DAG in the store. Ends when `signal` aborts. @throws as `exportDag` */
  exportDag(root: CID, signal: AbortSignal): Promise<StoreExport>;
}

/** What is left of a body that is refused: as much as was under way. Of a larger one the sender is told in the middle. */
const READ_OUT_MS = 500;

export function controlRoutes(collaborators: ControlCollaborators): Router {
  const router = express.Router();
  router.get(CONTROL_PATHS.status, (_request, response) => {
    response.json(collaborators.status());
  });
  router.get(CONTROL_PATHS.metrics, (_request, response) => {
    response.set('Content-Type', METRICS_CONTENT_TYPE).send(collaborators.metrics());
  });
  router.get(CONTROL_PATHS.doctor, async (request, response) => {
    using call = callOf(request, response);
    response.json(await collaborators.diagnose(call.signal));
  });
  router.post(CONTROL_PATHS.import, async (request: Request, response: Response) => {
    using call = callOf(request, response);
    try {
      response.json(await collaborators.importCar(request, request.query.root === 'last', call.signal));
    } catch (error) {
      await readOut(request);
      throw error;
    }
  });
  router.get(CONTROL_PATHS.store, (_request, response) => {
    response.json(collaborators.storedRoots());
  });
  router.delete(CONTROL_PATHS.storeRoot, async (request, response) => {
    await collaborators.removeRoot(parseCid(request.params.cid));
    response.json({ removed: true });
  });
  router.get(CONTROL_PATHS.storeCar, async (request, response) => {
    using call = callOf(request, response);
    await sendCar(await collaborators.exportDag(parseCid(request.params.cid), call.signal), response, call.signal);
  });
  router.post(CONTROL_PATHS.storeGc, async (_request, response) => {
    response.json(await collaborators.collectGarbage());
  });
  router.post(CONTROL_PATHS.prefetch, async (request, response) => {
    using call = callOf(request, response);
    response.json(await collaborators.prefetch(String(request.params.volume), call.signal));
  });
  router.post(CONTROL_PATHS.evict, async (request, response) => {
    using call = callOf(request, response);
    response.json(await collaborators.evict(String(request.params.volume), call.signal));
  });
  router.get(CONTROL_PATHS.profiles, (_request, response) => {
    response.json(collaborators.profiles());
  });
  router.get(CONTROL_PATHS.profile, (request, response) => {
    response.type('json').send(encodeProfile(collaborators.profile(String(request.params.name))));
  });
  router.post(
    CONTROL_PATHS.profileImport,
    express.text({ type: () => true, limit: MAX_PROFILE_BYTES }),
    async (request, response) => {
      const { name } = request.query;
      response.json(
        await collaborators.importProfile(String(request.body), typeof name === 'string' ? name : undefined),
      );
    },
  );
  router.use(answerError);
  return router;
}

/** A connection that is closed before all that came on it is read is reset, and the answer with it may be lost. */
async function readOut(request: Request): Promise<void> {
  request.resume();
  await finished(request, { signal: AbortSignal.timeout(READ_OUT_MS) }).catch(() => undefined);
}

/** 4xx for what the caller can mend; everything else is 500. */
const STATUS: Partial<Readonly<Record<ErrorCode, number>>> = {
  REQUEST_INVALID: 400,
  REFERENCE_INVALID: 400,
  OPTION_INVALID: 400,
  CAR_INVALID: 400,
  BLOCK_CORRUPT: 400,
  BLOCK_TOO_LARGE: 400,
  INPUT_INVALID: 400,
  VOLUME_IN_USE: 409,
  VOLUME_NOT_FOUND: 404,
  NOT_IN_STORE: 404,
  STORE_FULL: 507,
};

const answerError: ErrorRequestHandler = (error, _request, response, _next) => {
  if (response.headersSent) return;
  const code = codeOf(error);
  response.status(STATUS[code] ?? 500).json({ code, message: messageChain(error) } satisfies ControlError);
};
