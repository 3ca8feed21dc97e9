/**
 * What the command line is given: by the entry script, what lies above its layer (the serving process, the
 * configuration); by the process or by a test, where to write and what the environment is.
 *
 * Heavy things come as functions that load them, so that `ipfs-volume status` does not wait for a FUSE implementation.
 */
import type { Readable, Writable } from 'node:stream';
import type { Command } from 'commander';
import type { Diagnosis } from '../volumes/control-api.ts';
import type { ServeDirectory } from './serve-directory.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The part of the configuration that `doctor` checks, where no daemon answers. */
export interface CheckedConfiguration {
  readonly stateDirectory: string;
  readonly mountRoot: string;
  /** A URL or multiaddr, as configured; `undefined` where turned off. */
  readonly kuboRpc: string | undefined;
  readonly kuboRpcAuth: string | undefined;
  readonly gateways: readonly string[];
  readonly gatewayAuth: string | undefined;
  /** True where the gateways are the public ones that nobody chose. */
  readonly gatewaysAreDefault: boolean;
}

/** One diagnosis a source, and one more where none answers. @throws CONFIG_INVALID for an address that cannot be read */
type CheckSources = (configuration: CheckedConfiguration) => Promise<Diagnosis[]>;

export interface CliParts {
  readonly version: string;
  /** Commands from above this layer (`serve`), each registered like those here. */
  readonly loadCommands: () => Promise<readonly RegisterCommand[]>;
  /** Reads the configuration. @throws CONFIG_INVALID naming the variable */
  readonly readConfiguration: (env: Environment) => CheckedConfiguration | Promise<CheckedConfiguration>;
  /** Loads what asks the sources of a configuration whether they answer, for `doctor`. */
  readonly loadSourceChecks: () => Promise<CheckSources>;
  /** Loads what serves a directory without a daemon, for `mount`. */
  readonly loadServeDirectory: () => Promise<ServeDirectory>;
}

/** A terminal or a pipe. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** The world of one run: `process` itself, or a test's. */
export interface CliProcess {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: Readable;
  readonly env: Environment;
}

export interface CliContext {
  readonly process: CliProcess;
  readonly parts: CliParts;
  /** Aborted by SIGINT or SIGTERM, from the first time that it is asked for. A second signal ends the process. */
  readonly interrupted: () => AbortSignal;
}

/** Adds one command to the program. Its action throws CodedError; the program prints and exits. */
export type RegisterCommand = (program: Command, context: CliContext) => void;
