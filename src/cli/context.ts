import type { Command } from "commander";
import { type Config, type ConfigFile, type ConfigSources, loadConfig } from "../config/index.ts";
import type { Io } from "./io.ts";
import { Output } from "./output.ts";

/** What every command gets. */
export interface Context {
  readonly io: Io;
  readonly output: Output;
  readonly config: Config;
  /** Aborts when the command should give up: a signal, or nobody reads its output any more. */
  readonly signal: AbortSignal;
  /** What to type for another command of the same install: `gatehouse device ls --home /srv/gatehouse`. */
  readonly commandLine: (words: string) => string;
}

/** A command's work; what it resolves to, when anything, is the exit code. */
export type Run<Options> = (
  context: Context,
  args: readonly string[],
  options: Options,
) => Promise<number | undefined>;

/** Adds commands to the program, each bound to its work. */
export interface Commands {
  readonly program: Command;
  readonly bind: <Options extends object>(command: Command, run: Run<Options>) => void;
}

export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color?: boolean;
  readonly home?: string;
  readonly timeout?: string;
}

export function createOutput(io: Io, { json, quiet, color }: GlobalOptions): Output {
  return new Output({
    stdout: io.stdout,
    stderr: io.stderr,
    env: io.env,
    isJson: json === true,
    isQuiet: quiet === true,
    mayColor: color !== false,
  });
}

export interface ConfigOptions extends GlobalOptions {
  readonly listen?: readonly string[];
  readonly grpc?: string;
  readonly name?: string;
}

/** What a command line says of the configuration. */
export function configSources(io: Io, { home, timeout, listen, grpc, name }: ConfigOptions): ConfigSources {
  const { env, userHome, hostName } = io;
  return { flags: { home, timeout, listen, grpc, name }, env, userHome, hostName };
}

/** @throws GatehouseError as `loadConfig` does. */
export function createContext(io: Io, options: ConfigOptions, output: Output, file?: ConfigFile): Context {
  const { home } = options;
  const config = loadConfig(configSources(io, options), file);
  const flags = home === undefined ? "" : ` --home ${shellWord(home)}`;
  const commandLine = (words: string): string => `${io.invocation} ${words}${flags}`;
  return { io, output, config, signal: AbortSignal.any([io.stop, io.readerGone]), commandLine };
}

/** As a shell reads it back. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
