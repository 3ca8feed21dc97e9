/**
 * Docker's endpoints on express: bodies in, verbs called, errors in Docker's form.
 *
 * The engine sends no Content-Type, and on a retry may send no body at all. So bodies are read as they come, and what is
 * not a JSON object is answered 400 with `Err`, never by a crash.
 */
import express, { type ErrorRequestHandler, type Request, type Response, type Router } from 'express';
import { CodedError, hasCode, messageChain } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import { callOf } from './call.ts';
import type { Verbs } from './driver.ts';
import { CONTENT_TYPE, type PluginRequest } from './protocol.ts';

/** Names and options take a few hundred bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

/** Routes for all of `verbs`. */
export function pluginRoutes(verbs: Verbs, logger: Logger): Router {
  const router = express.Router();
  // Whatever type the body is said to be of, or none.
  router.use(express.raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }));
  for (const [path, verb] of Object.entries(verbs)) {
    router.post(path, async (request: Request, response: Response) => {
      const body = bodyless(path) ? {} : parseBody(request.body);
      using call = callOf(request, response);
      send(response, 200, { ...(await verb(body, call)), Err: '' });
      logger.debug({ path, name: body.Name }, 'answered Docker');
    });
  }
  router.post(/^\/(VolumeDriver|Plugin)\./, (request) => {
    throw new CodedError('REQUEST_INVALID', `there is no endpoint ${request.path}`);
  });
  router.use(answerError(logger));
  return router;
}

/** The engine sends these an empty body. */
function bodyless(path: string): boolean {
  return path === '/Plugin.Activate' || path === '/VolumeDriver.List' || path === '/VolumeDriver.Capabilities';
}

function parseBody(body: unknown): PluginRequest {
  // A request without a body leaves it undefined.
  if (!(body instanceof Buffer) || body.length === 0)
    throw new CodedError('REQUEST_INVALID', 'the request has no body');
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new CodedError('REQUEST_INVALID', 'the request is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CodedError('REQUEST_INVALID', 'the request is not a JSON object');
  }
  return value;
}

function answerError(logger: Logger): ErrorRequestHandler {
  return (error, request, response, _next) => {
    // body-parser's errors carry the status that fits (413 for a body too large).
    const status = hasCode(error, 'REQUEST_INVALID') ? 400 : Number((error as { status?: number }).status ?? 500);
    const message = messageChain(error);
    // Docker asks every driver for a name that it does not know: an answer, and no trouble.
    const probing = request.path === '/VolumeDriver.Get' && hasCode(error, 'VOLUME_NOT_FOUND');
    logger[probing ? 'debug' : 'warn']({ path: request.path, error: message }, 'refused a call of Docker');
    if (!response.headersSent) send(response, status, { Err: message });
  };
}

function send(response: Response, status: number, body: object): void {
  response.status(status).set('Content-Type', CONTENT_TYPE).end(JSON.stringify(body));
}
