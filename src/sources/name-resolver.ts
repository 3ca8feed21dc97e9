/**
 * From `/ipns/NAME` to content: through the Kubo node where one answers, else by what anyone can verify, IPNS records
 * from gateways for keys and the DNS for domains.
 *
 * Kubo is ours and follows names all the way. Where it does not answer within a moment the other way starts beside it,
 * and the first to succeed is believed: a hanging node must not hold up a mount that a gateway could serve.
 */

import type { CID } from 'multiformats/cid';
import { CodedError, hasCode, messageChain } from '../base/errors.ts';
import { parseCidText } from '../blocks/parse-cid.ts';
import { type GatewayOptions, gatewayClient } from './gateway.ts';
import type { KuboControl } from './kubo-control.ts';
import { type ResolveTxt, resolveDnsLink, txtResolver } from './name-dnslink.ts';
import { parseNameKey } from './name-key.ts';
import { NameRecords } from './name-record.ts';

interface ResolvedName {
  readonly cid: CID;
  /** The path below it, without slashes at its ends; '' for none. */
  readonly path: string;
}

export interface NameResolver {
  /**
   * What `name` (a key in any form, or a domain; without `/ipns/`) leads to at this moment.
   * @throws NAME_UNRESOLVED with what each way said, ABORTED.
   */
  resolve(name: string, options: { readonly signal: AbortSignal }): Promise<ResolvedName>;
  /** Gives back sockets. The Kubo node is its owner's to close. */
  close(): Promise<void>;
}

export interface NameResolverOptions {
  readonly kubo?: Pick<KuboControl, 'resolveName'> | undefined;
  readonly gateways: readonly GatewayOptions[];
  /** The machine's DNS, where none is given. */
  readonly txt?: ResolveTxt;
  /** How long Kubo is alone; in milliseconds. */
  readonly headStartMs?: number;
}

/** Long enough for a DHT look-up that goes well; a name is resolved once a mount. */
const DEFAULT_HEAD_START_MS = 5_000;

/** How many names may lead from one to the next: boxo's `DefaultDepthLimit`. */
const MAX_DEPTH = 32;

export function nameResolver(options: NameResolverOptions): NameResolver {
  const records = new NameRecords(options.gateways.map(gatewayClient));
  const txt = options.txt ?? txtResolver();
  const headStartMs = options.headStartMs ?? DEFAULT_HEAD_START_MS;

  const directly: Way = async (name, signal) => {
    let path = `/ipns/${name}`;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const [, space, head = '', rest = ''] = /^\/(ip[fn]s)\/([^/]+)(.*)$/s.exec(path) ?? [];
      if (space === 'ipfs') return path;
      if (space !== 'ipns')
        throw new CodedError('NAME_UNRESOLVED', `"${name}" leads to "${path}", which is no IPFS path`);
      path = (await step(head, signal)) + rest;
    }
    throw new CodedError('NAME_UNRESOLVED', `"${name}" leads through more than ${MAX_DEPTH} names`);
  };

  const step = (name: string, signal: AbortSignal): Promise<string> => {
    const key = parseNameKey(name);
    if (key !== undefined) return records.resolve(key, { signal });
    if (name.includes('.')) return resolveDnsLink(name, { signal, txt });
    throw new CodedError('NAME_UNRESOLVED', `"${name}" is neither an IPNS key nor a domain`);
  };

  return {
    async resolve(name, { signal }) {
      const { kubo } = options;
      const ways: Way[] = kubo
        ? [(each, within) => kubo.resolveName(`/ipns/${each}`, { signal: within }), directly]
        : [directly];
      const path = await firstToSucceed(ways, name, headStartMs, signal);
      return parseContentPath(name, path);
    },
    close: () => records.close(),
  };
}

type Way = (name: string, signal: AbortSignal) => Promise<string>;

/** Starts each way when those before it have failed, or have had `headStartMs`; drops the others once one is there. */
async function firstToSucceed(
  ways: readonly Way[],
  name: string,
  headStartMs: number,
  signal: AbortSignal,
): Promise<string> {
  const over = new AbortController();
  const within = AbortSignal.any([signal, over.signal]);
  const failures: unknown[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let timer: NodeJS.Timeout | undefined;

  const start = ([way, ...rest]: readonly Way[]): void => {
    if (way === undefined) return;
    let nextStarted = false;
    const next = () => {
      if (nextStarted || within.aborted) return;
      nextStarted = true;
      start(rest);
    };
    clearTimeout(timer);
    timer = setTimeout(next, headStartMs);
    Promise.resolve()
      .then(() => way(name, within))
      .then(resolve, (error: unknown) => {
        failures.push(error);
        if (failures.length === ways.length || signal.aborted) reject(error);
        else next();
      });
  };

  start(ways);
  try {
    return await promise;
  } catch (error) {
    if (signal.aborted || failures.every((failure) => hasCode(failure, 'ABORTED'))) {
      throw new CodedError('ABORTED', `resolving "${name}" was dropped`, { cause: error });
    }
    throw new CodedError('NAME_UNRESOLVED', `"${name}" does not resolve: ${failures.map(messageChain).join('; ')}`);
  } finally {
    clearTimeout(timer);
    over.abort();
  }
}

/** `/ipfs/CID[/path]` in its parts; whoever said it, a name that leads to no CID leads nowhere. */
function parseContentPath(name: string, path: string): ResolvedName {
  const [, text = '', rest = ''] = /^\/ipfs\/([^/]+)(.*)$/s.exec(path) ?? [];
  try {
    return { cid: parseCidText(text), path: rest.replace(/^\/+|\/+$/g, '') };
  } catch (error) {
    throw new CodedError('NAME_UNRESOLVED', `"${name}" leads to "${path}", which holds no CID`, { cause: error });
  }
}
