/**
 * A trustless gateway over a map of blocks, one block a request; remembers what it was asked for, in order.
 */
import { CID } from 'multiformats/cid';
import { blockKey } from '../../src/blocks/block.ts';
import type { BlockMap } from './block-map.ts';
import { type GatewayServer, startGatewayServer, status } from './gateway-server.ts';

export interface BlockGateway extends AsyncDisposable {
  readonly server: GatewayServer;
  readonly url: string;
  /** CIDs of the blocks that were sent, as CIDv1. */
  readonly asked: string[];
  /** A request for one of these is answered `503` until it is taken out again. */
  readonly broken: Set<string>;
  /** Resolves when what is sent may go out; undefined for at once. */
  hold: ((cid: string) => Promise<void> | undefined) | undefined;
}

export async function startBlockGateway(blocks: BlockMap): Promise<BlockGateway> {
  const asked: string[] = [];
  const broken = new Set<string>();
  const server = await startGatewayServer((request, response) => {
    const text = /^\/ipfs\/(\w+)\?(?:.*&)?format=raw/.exec(request.url ?? '')?.[1];
    const cid = text === undefined ? undefined : CID.parse(text).toV1();
    const bytes = cid && blocks.blocks.get(blockKey(cid));
    if (!bytes) return status(404)(request, response);
    if (broken.has(cid.toString())) return status(503)(request, response);
    asked.push(cid.toString());
    const send = () =>
      response
        .writeHead(200, { 'content-type': 'application/vnd.ipld.raw', 'content-length': bytes.length })
        .end(bytes);
    void Promise.resolve(gateway.hold?.(cid.toString())).then(send);
  });
  const gateway: BlockGateway = {
    server,
    url: server.url,
    asked,
    broken,
    hold: undefined,
    [Symbol.asyncDispose]: () => server.close(),
  };
  return gateway;
}
