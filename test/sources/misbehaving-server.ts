/** For suites of sources over HTTP: a server that does as each test says, a hasty source that asks it, and what befalls any of them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Block } from '../../src/blocks/block.ts';
import type { BlockSource } from '../../src/blocks/block-source.ts';
import {
  type Behaviour,
  cut,
  drip,
  endless,
  type GatewayServer,
  raw,
  silent,
  stalled,
  startGatewayServer,
  status,
} from '../support/gateway-server.ts';
import { demand, failureCode } from './source-contract.ts';

/** What the server does, and the code and the message that come of it. */
export type Fault = readonly [name: string, behaviour: Behaviour, code: string, message: RegExp];

export const FAULTS: readonly Fault[] = [
  ['no answer', silent, 'SOURCE_FAILED', /said nothing for 0.2 s/],
  ['a stalled body', stalled, 'SOURCE_FAILED', /stopped sending for 0.2 s/],
  ['a body cut off', cut, 'SOURCE_FAILED', /cut the connection/],
  ['an endless body', endless(), 'BLOCK_TOO_LARGE', /more than 2097152 bytes/],
];

const HASTY = { answerMs: 200, stallMs: 200 };

/** Whoever closes the server puts another one in its place. */
interface Subject<S extends BlockSource> {
  server: GatewayServer;
  source: S;
}

/** New for each test of the suite that calls it. */
export function misbehavingServer<S extends BlockSource>(open: (url: string, timeouts: typeof HASTY) => S): Subject<S> {
  const subject = {} as Subject<S>;
  beforeEach(async () => {
    subject.server = await startGatewayServer();
    subject.source = open(subject.server.url, HASTY);
  });
  afterEach(async () => {
    await subject.source.close();
    await subject.server.close();
  });
  return subject;
}

/** The fault is told as it should, with the server's address, and leaves nothing behind: the next request is answered. */
export async function expectFault(
  { server, source }: Readonly<Subject<BlockSource>>,
  { cid, bytes }: Block,
  [, behaviour, code, message]: Fault,
): Promise<void> {
  server.behave(behaviour);
  const answer = source.getBlock(cid, demand());
  await expect(answer).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await expect(answer).rejects.toThrow(server.url);
  server.behave(raw(bytes));
  expect(await source.getBlock(cid, demand())).toHaveLength(bytes.length);
}

/** For sources that can be pinged; `subject` is that of `misbehavingServer`. */
export function pingContract(subject: Readonly<Subject<BlockSource>>): void {
  const ping = () => failureCode(Promise.resolve(subject.source.ping?.({ signal: AbortSignal.timeout(20_000) })));

  test.each([
    ['200', raw(new Uint8Array()), 'good'],
    ['404', status(404), 'good'],
    ['403', status(403), 'bad'],
    ['500', status(500), 'bad'],
  ])('a ping takes %s for an answer, and knows whether it is a good one', async (_name, behaviour, kind) => {
    subject.server.behave(behaviour);
    const isWell = await subject.source.ping?.({ signal: AbortSignal.timeout(20_000) });
    expect([isWell, subject.server.requests.length]).toEqual([kind === 'good', 1]);
  });

  test.each([
    ['silence', silent],
    ['half an answer', stalled],
    ['an answer cut off', cut],
  ])('a ping does not take %s for an answer', async (_name, behaviour) => {
    subject.server.behave(behaviour);
    expect(await ping()).toBe('SOURCE_FAILED');
  });
}

/** Whoever leaves ends the request on the wire, with a source whose time-outs are its own. */
export function abortContract(server: () => GatewayServer, open: (url: string) => BlockSource, { cid }: Block): void {
  test.each([
    ['says nothing', silent],
    ['drips', drip],
  ])('an abort ends the request on the wire while the server %s', async (_name, behaviour) => {
    const patient = open(server().url);
    server().behave(behaviour);
    const controller = new AbortController();
    const answer = failureCode(patient.getBlock(cid, demand(controller.signal)));
    const seen = await server().request(0);
    controller.abort();
    expect(await answer).toBe('ABORTED');
    expect(await seen.hungUp).toBe(true);
    await patient.close();
  });
}
