/**
 * A daemon for the command line to talk to: `node:http` on a unix socket in a folder of its own, answering as a test says.
 *
 * What it is asked is kept, so that a test can see the request as it came over the wire.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Asked {
  readonly method: string;
  readonly url: string;
  /** The body, where the answer read it through `readBody`. */
  body?: Buffer;
}

/** Answers one request; throwing is a defect of the test. */
export type Answer = (request: IncomingMessage, response: ServerResponse, asked: Asked) => void | Promise<void>;

export class ControlServer implements AsyncDisposable {
  readonly socketPath: string;
  readonly asked: Asked[] = [];
  readonly #folder: string;
  readonly #server: Server;

  private constructor(folder: string, server: Server) {
    this.#folder = folder;
    this.socketPath = join(folder, 'ipfs.sock');
    this.#server = server;
  }

  /** Listens; `answers` by `METHOD /path` without the query. What is not in it is a 404 without a reason. */
  static async start(answers: Readonly<Record<string, Answer>>): Promise<ControlServer> {
    const server = createServer();
    const started = new ControlServer(mkdtempSync(join(tmpdir(), 'ipfs-volume-cli-')), server);
    server.on('request', (request, response) => {
      const asked: Asked = { method: request.method ?? '', url: request.url ?? '' };
      started.asked.push(asked);
      const answer = answers[`${asked.method} ${asked.url.split('?')[0]}`];
      if (!answer) response.writeHead(404).end();
      else void answer(request, response, asked);
    });
    await new Promise<void>((listening) => server.listen(started.socketPath, listening));
    return started;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
    rmSync(this.#folder, { recursive: true });
  }
}

/** The whole body, kept in `asked`. */
export async function readBody(request: IncomingMessage, asked: Asked): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  asked.body = Buffer.concat(pieces);
  return asked.body;
}

/** An answer of `value` as JSON; the body is drained first, as a server must. */
export function json(value: unknown, status = 200): Answer {
  return async (request, response, asked) => {
    await readBody(request, asked);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
}
