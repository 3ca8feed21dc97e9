/** The relay over real sockets, with daemons that a test plays: each does with its calls what the test says. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ListeningSocket, listenOnSocket } from '../../plugin/daemon/server.ts';
import { relay } from '../../plugin/supervisor/relay.ts';
import type { RelayTarget } from '../../plugin/supervisor/relay-target.ts';
import { CALL_ID_HEADER, GIVEN_UP_HEADER, REPEATED_HEADER } from '../../plugin/supervisor/relayed-call.ts';
import { CodedError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';

const LIMITS = { maxWaitMs: 3000, retrySameMs: 100 };

interface Seen {
  readonly id: unknown;
  readonly repeated: unknown;
  readonly givenUp?: unknown;
  readonly body: string;
}

/** A daemon as a test plays it. */
class Daemon {
  readonly socketPath: string;
  readonly seen: Seen[] = [];
  readonly #server: Server;

  constructor(
    socketPath: string,
    behave: (response: ServerResponse, daemon: Daemon, request: IncomingMessage) => void,
  ) {
    this.socketPath = socketPath;
    this.#server = createServer(async (request, response) => {
      let body = '';
      request.on('error', () => undefined);
      try {
        for await (const chunk of request) body += chunk;
      } catch {
        return;
      }
      const { headers } = request;
      this.seen.push({
        id: headers[CALL_ID_HEADER],
        repeated: headers[REPEATED_HEADER],
        ...(headers[GIVEN_UP_HEADER] === undefined ? {} : { givenUp: headers[GIVEN_UP_HEADER] }),
        body,
      });
      behave(response, this, request);
    });
  }

  async listen(): Promise<this> {
    await once(this.#server.listen(this.socketPath), 'listening');
    return this;
  }

  /** Dies as by SIGKILL: every connection is cut, and nobody listens any more. */
  die(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** The supervisor's part: one daemon after the other. */
class Target implements RelayTarget {
  readonly answers: string[] = [];
  waiting = 0;
  waitsFor: string | undefined;
  readonly stuckDaemon = new AbortController();
  stuckSocket: string | undefined;
  #current: Daemon | undefined;
  #arrivals: Array<() => void> = [];
  #end: CodedError | undefined;

  set current(daemon: Daemon | undefined) {
    this.#current = daemon;
    for (const arrival of this.#arrivals.splice(0)) arrival();
  }

  stop(): void {
    this.#end = new CodedError('DAEMON_UNREACHABLE', 'ipfs-volume is stopping');
    for (const arrival of this.#arrivals.splice(0)) arrival();
  }

  async nextDaemon(signal: AbortSignal, deadSocket?: string): Promise<string> {
    this.waiting++;
    try {
      for (;;) {
        if (this.#end) throw this.#end;
        signal.throwIfAborted();
        if (this.#current && this.#current.socketPath !== deadSocket) return this.#current.socketPath;
        await new Promise<void>((resolve) => {
          this.#arrivals.push(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    } finally {
      this.waiting--;
    }
  }

  stuck(socketPath: string): AbortSignal | undefined {
    return socketPath === this.stuckSocket ? this.stuckDaemon.signal : undefined;
  }

  answered(socketPath: string): void {
    this.answers.push(socketPath);
  }
}

let directory: string;
let target: Target;
let socket: ListeningSocket;
let daemons: Daemon[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'relay-'));
  target = new Target();
  daemons = [];
  socket = await listenOnSocket(join(directory, 'public.sock'), relay(target, silentLogger(), LIMITS));
});
afterEach(async () => {
  for (const daemon of daemons) daemon.die();
  await socket.close(0);
  rmSync(directory, { recursive: true, force: true });
});

async function daemon(behave: ConstructorParameters<typeof Daemon>[1]): Promise<Daemon> {
  const made = await new Daemon(join(directory, `d${daemons.length}.sock`), behave).listen();
  daemons.push(made);
  return made;
}

const ok = (response: ServerResponse): void => void response.end('{"Err":""}');

interface Answer {
  readonly status: number;
  readonly body: string;
}

function call(body: string | AsyncIterable<string>, signal?: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { socketPath: socket.path, method: 'POST', path: '/VolumeDriver.Mount', ...(signal ? { signal } : {}) },
      async (response) => {
        let text = '';
        try {
          for await (const chunk of response) text += chunk;
          resolve({ status: response.statusCode ?? 0, body: text });
        } catch (error) {
          reject(error);
        }
      },
    );
    request.on('error', reject);
    if (typeof body === 'string') request.setHeader('content-length', body.length).end(body);
    else void send(request, body);
  });
}

async function send(request: ReturnType<typeof httpRequest>, body: AsyncIterable<string>): Promise<void> {
  for await (const chunk of body) request.write(chunk);
  request.end();
}

describe('the relay', () => {
  test('a call that comes while no daemon lives waits for one', async () => {
    const answer = call('{"Name":"a"}');
    await until(() => target.waiting === 1);
    target.current = await daemon(ok);
    expect(await answer).toEqual({ status: 200, body: '{"Err":""}' });
    expect(daemons[0]?.seen).toEqual([{ id: expect.any(String), repeated: '0', body: '{"Name":"a"}' }]);
    expect(target.answers).toEqual([daemons[0]?.socketPath]);
  });

  test.each<[string, (response: ServerResponse, daemon: Daemon) => void]>([
    ['before it answers', (_response, dying) => dying.die()],
    [
      'in the middle of its answer',
      (response, dying) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('{"Mountpoint":', () => dying.die());
      },
    ],
  ])(
    'a call whose daemon dies %s is had from the next one, under the same name and said to be repeated',
    async (_when, die) => {
      const first = await daemon(die);
      target.current = first;
      const answer = call('{"Name":"a"}');
      await until(() => first.seen.length === 1 && target.waiting === 1);
      target.current = await daemon(ok);
      expect(await answer).toEqual({ status: 200, body: '{"Err":""}' });
      const [before, after] = daemons.map(({ seen }) => seen[0]);
      expect(before).toMatchObject({ repeated: '0', body: '{"Name":"a"}' });
      expect(after).toEqual({ id: before?.id, repeated: '1', body: '{"Name":"a"}' });
    },
  );

  test('a call of which daemon after daemon dies is given up, and harms no other', async () => {
    const dieOfIt = async (): Promise<void> => {
      target.current = await daemon((response, dying, request) => {
        if (dying.seen.at(-1)?.body !== 'poison') return ok(response);
        dying.die();
        request.socket.destroy();
        void dieOfIt();
      });
    };
    await dieOfIt();
    const failed = await call('poison');
    expect(failed).toMatchObject({ status: 503, body: expect.stringContaining('it died of this call 5 times') });
    await until(() => daemons.length === 6);
    expect(await call('x')).toMatchObject({ status: 200 });
  });

  test('a daemon that is gone before the call reaches it has not had it: the next one is told so', async () => {
    const first = await daemon(ok);
    target.current = first;
    first.die();
    const answer = call('x');
    await until(() => target.waiting === 1);
    target.current = await daemon(ok);
    expect(await answer).toMatchObject({ status: 200 });
    expect(daemons[1]?.seen).toMatchObject([{ repeated: '0' }]);
  });

  test('a daemon that broke the connection and lives is tried again', async () => {
    target.current = await daemon((response, { seen }, request) => {
      if (seen.length === 1) request.socket.destroy();
      else ok(response);
    });
    expect(await call('x')).toMatchObject({ status: 200 });
    expect(daemons[0]?.seen.map(({ repeated }) => repeated)).toEqual(['0', '1']);
  });

  test('a call at a daemon that was killed and does not end is for the next one', async () => {
    const first = await daemon(() => undefined);
    target.current = first;
    target.stuckSocket = first.socketPath;
    const answering = call('x');
    await until(() => first.seen.length === 1);
    target.stuckDaemon.abort();
    const second = await daemon(ok);
    target.current = second;
    expect(await answering).toMatchObject({ status: 200 });
    expect(second.seen).toMatchObject([{ repeated: '1' }]);
  });

  test('where no other daemon comes, such a call fails, and nothing else', async () => {
    const only = await daemon(() => undefined);
    target.current = only;
    target.stuckSocket = only.socketPath;
    const answering = call('x');
    await until(() => only.seen.length === 1);
    target.stuckDaemon.abort();
    expect((await answering).status).toBe(503);
    expect((await call('y')).status).toBe(503);
  });

  test('a body that is streamed waits for a daemon, and fails with it: it is not sent twice', async () => {
    const part = 'x'.repeat(1000);
    async function* body() {
      for (let count = 0; count < 10; count++) yield part;
    }
    const gone = await daemon(ok);
    target.current = gone;
    gone.die();
    const answer = call(body());
    await until(() => target.waiting === 1);
    const whole = await daemon(ok);
    target.current = whole;
    expect(await answer).toMatchObject({ status: 200 });
    expect(whole.seen[0]?.body.length).toBe(10_000);

    const dying = await daemon((_response, mortal) => mortal.die());
    target.current = dying;
    const failed = await call(body());
    expect(failed.status).toBe(503);
    expect(JSON.parse(failed.body)).toMatchObject({
      Err: expect.stringContaining('start the command again'),
      code: 'DAEMON_UNREACHABLE',
    });
    expect(dying.seen.length).toBe(1);
  });

  test('an answer that is too long to be kept is passed on as it comes, and cut off with its daemon', async () => {
    target.current = await daemon((response, dying) => {
      response.writeHead(200);
      response.write('a'.repeat(100_000), () => dying.die());
    });
    await expect(call('x')).rejects.toThrow();
    expect(daemons[0]?.seen.length).toBe(1);
    target.current = await daemon((response) => {
      response.writeHead(200);
      for (let count = 0; count < 30; count++) response.write('b'.repeat(100_000));
      response.end();
    });
    expect((await call('x')).body.length).toBe(3_000_000);
  });

  test('a caller that goes away ends its call at the daemon, and its wait for one', async () => {
    const left = Promise.withResolvers<void>();
    target.current = await daemon((response) => response.on('close', () => left.resolve()));
    const patience = new AbortController();
    const answer = call('x', patience.signal);
    await until(() => daemons[0]?.seen.length === 1);
    patience.abort();
    await expect(answer).rejects.toThrow();
    await left.promise;

    target.current = undefined;
    const impatience = new AbortController();
    const waiting = call('x', impatience.signal);
    await until(() => target.waiting === 1);
    impatience.abort();
    await expect(waiting).rejects.toThrow();
    await until(() => target.waiting === 0);
  });

  test.each<[string, (patience: AbortController, first: Daemon) => Promise<void>]>([
    [
      'before its daemon dies',
      async (patience, first) => {
        patience.abort();
        // The daemon itself is told first, and dies of that as well.
        await until(() => first.seen.length === 2);
        first.die();
      },
    ],
    [
      'after its daemon died',
      async (patience, first) => {
        first.die();
        await until(() => target.waiting === 1);
        patience.abort();
      },
    ],
  ])('a mount whose caller goes away %s is given up at the next daemon, under the same name', async (_when, leave) => {
    const first = await daemon(() => undefined);
    target.current = first;
    const patience = new AbortController();
    const answer = call('{"Name":"a"}', patience.signal);
    answer.catch(() => undefined);
    await until(() => first.seen.length === 1);
    await leave(patience, first);
    await expect(answer).rejects.toThrow();
    target.current = undefined;
    const second = await daemon(ok);
    target.current = second;
    const givenUp = () => second.seen.filter((seen) => seen.givenUp === '1');
    await until(() => givenUp().length > 0);
    expect(givenUp()).toMatchObject([{ id: first.seen[0]?.id, body: '{"Name":"a"}' }]);
    // Told once: the daemon has answered.
    expect(await call('another')).toMatchObject({ status: 200 });
    expect(givenUp()).toHaveLength(1);
  });

  test('a mount whose daemon died, and whose caller is told that no other came, is given up at the one that does', async () => {
    const first = await daemon((_response, dying) => dying.die());
    target.current = first;
    const answer = call('{"Name":"a"}');
    await until(() => target.waiting === 1);
    target.current = undefined;
    expect(await answer).toMatchObject({ status: 503, body: expect.stringContaining('none has come up in time') });
    const second = await daemon(ok);
    target.current = second;
    await until(() => second.seen.length > 0);
    expect(second.seen).toMatchObject([{ id: first.seen[0]?.id, givenUp: '1' }]);
  });

  test('daemons that die of a mount that was given up die of it three times, and no more', async () => {
    const dieOfIt = async (): Promise<void> => {
      target.current = await daemon((response, dying) => {
        const { givenUp, body } = dying.seen.at(-1) as Seen;
        if (givenUp !== '1') return body === 'poison' ? undefined : ok(response);
        dying.die();
        void dieOfIt();
      });
    };
    await dieOfIt();
    const patience = new AbortController();
    const answer = call('poison', patience.signal);
    await until(() => daemons[0]?.seen.length === 1);
    patience.abort();
    await expect(answer).rejects.toThrow();
    await until(() => daemons.length === 4);
    for (let times = 0; times < 20; times++) expect(await call('x')).toMatchObject({ status: 200 });
    expect(daemons).toHaveLength(4);
  });

  test('nobody waits for ever: not for a daemon that does not come, nor for one that never will', async () => {
    const late = await call('x');
    expect(late.status).toBe(503);
    expect(JSON.parse(late.body).Err).toBe('the daemon does not answer: none has come up in time');
    target.waitsFor = 'the disk does not answer';
    expect(JSON.parse((await call('x')).body).Err).toBe('the daemon does not answer: the disk does not answer');
    const answers = Array.from({ length: 20 }, () => call('x'));
    await until(() => target.waiting === 20);
    target.stop();
    for (const { status, body } of await Promise.all(answers)) {
      expect(status).toBe(503);
      expect(JSON.parse(body).Err).toBe('the daemon does not answer: ipfs-volume is stopping');
    }
  });
});

test('the engine is not told that a volume is unknown because no daemon is there to ask: the connection breaks, with the reason', async () => {
  target.waitsFor = 'the disk of x:y does not answer';
  const ask = async (userAgent: string) => {
    const socketOfOurs = connect(socket.path);
    socketOfOurs.write(
      `POST /VolumeDriver.Get HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ${userAgent}\r\nContent-Length: 2\r\n\r\n{}`,
    );
    return await text(socketOfOurs);
  };
  // Without a colon behind the first line: as a header no version of Go could read it.
  expect(await ask('Go-http-client/1.1')).toBe(
    'HTTP/1.1 503 Service Unavailable\r\nthe daemon does not answer - the disk of x y does not answer\r\n\r\n',
  );
  expect(await ask('curl')).toMatch(/^HTTP\/1.1 503 /);
});

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('waited in vain');
    await new Promise(setImmediate);
  }
}
