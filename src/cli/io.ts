import type { Readable } from "node:stream";

/** A stream that people or scripts read. */
export interface Sink {
  write(chunk: string | Uint8Array): boolean;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The process that started this one, where the two have a channel between them. */
export interface Parent {
  readonly pid: number;
  /** Aborts when the channel closes: the parent has ended, or wants this process to. */
  readonly gone: AbortSignal;
  tell(word: string): void;
}

/** What asks a program to end. */
export type RelayedSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** Everything a command may touch of the process that it runs in; `main.ts` is the one that fills it in. */
export interface Io {
  /** The words after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home directory, absolute. */
  readonly userHome: string;
  /** What this machine calls itself. */
  readonly hostName: string;
  /** How a person types this program here: `gatehouse`, or `node dist/cli/main.js` in a clone. */
  readonly invocation: string;
  readonly platform: string;
  readonly pid: number;
  /** The command and its first words that start this very program again. */
  readonly self: readonly string[];
  readonly parent: Parent | undefined;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Aborts at SIGINT or SIGTERM. */
  readonly stop: AbortSignal;
  /** Until it is disposed, these signals go to `receive` and to nothing else here. One at a time. */
  relaySignals(receive: (signal: RelayedSignal) => void): Disposable;
  /** Aborts when whoever read standard output has gone. */
  readonly readerGone: AbortSignal;
}
