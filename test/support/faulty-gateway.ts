/**
 * A gateway whose outages begin and end as those of real servers do: what hangs when one ends is answered (a paused server
 * goes on) or cut (a dead one is started again), never forgotten.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { BlockMap } from './block-map.ts';
import {
  type Behaviour,
  blocksOf,
  cut,
  drip,
  endless,
  type GatewayServer,
  raw,
  silent,
  stalled,
  startGatewayServer,
  status,
} from './gateway-server.ts';

/** After these the source may still have the block: a reader waits. */
export const PASSING_OUTAGES = ['paused', 'stalled', 'drip', 'cut', 'error', 'web page', 'reset'] as const;
/** After these it has said its last word on the block: of all sources at once, they are a reader's error. */
export const FINAL_OUTAGES = ['absent', 'lies', 'endless'] as const;

export type Outage = (typeof PASSING_OUTAGES)[number] | (typeof FINAL_OUTAGES)[number];

export class FaultyGateway implements AsyncDisposable {
  readonly #server: GatewayServer;
  readonly #well: Behaviour;
  readonly #hanging = new Map<ServerResponse, IncomingMessage>();

  private constructor(server: GatewayServer, well: Behaviour) {
    this.#server = server;
    this.#well = well;
  }

  static async start(blocks: BlockMap): Promise<FaultyGateway> {
    const well = blocksOf(blocks);
    return new FaultyGateway(await startGatewayServer(well), well);
  }

  get url(): string {
    return this.#server.url;
  }

  /** Requests so far. */
  get asked(): number {
    return this.#server.requests.length;
  }

  begin(outage: Outage): void {
    const behaviour = BEHAVIOURS[outage];
    this.#server.behave((request, response) => {
      this.#hanging.set(response, request);
      response.on('close', () => this.#hanging.delete(response));
      behaviour(request, response);
    });
  }

  end(): void {
    this.#server.behave(this.#well);
    for (const [response, request] of this.#hanging) {
      if (response.headersSent) request.socket.destroy();
      else this.#well(request, response);
    }
    this.#hanging.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}

const BEHAVIOURS: Readonly<Record<Outage, Behaviour>> = {
  paused: silent,
  stalled,
  drip,
  cut,
  error: status(500),
  'web page': status(200, { 'content-type': 'text/html' }, '<html>'),
  reset: (request) => request.socket.destroy(),
  absent: status(404),
  lies: raw(Buffer.from('not what was asked for')),
  endless: endless(),
};
