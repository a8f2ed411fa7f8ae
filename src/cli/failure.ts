import { CommanderError } from "commander";
import { EXIT, GatehouseError, isGatehouseError } from "../core/index.ts";

/** What `--json` prints when a command fails. */
export interface FailureDocument {
  readonly error: {
    /** One of the error codes, or `unexpected`. */
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly retryable: boolean;
  };
}

/** The person pressed Ctrl-C at a prompt: exit code 130, and nothing to say about it. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** The process exit code that tells a script what kind of failure this was. */
export function exitCodeFor(error: unknown): number {
  const failure = asExpected(error);
  return isGatehouseError(failure) ? failure.exitCode : EXIT.unexpected;
}

/** Unexpected errors show their message alone: what they carry beside it may be anything. */
export function failureDocument(error: unknown): FailureDocument {
  const failure = asExpected(error);
  if (!isGatehouseError(failure)) {
    const message = failure instanceof Error && failure.message !== "" ? failure.message : "something broke";
    const hint = "this is a bug; GATEHOUSE_DEBUG=1 prints where it happened";
    return { error: { code: "unexpected", message, hint, retryable: false } };
  }
  const { code, message, hint, isRetryable } = failure;
  return { error: { code, message, ...(hint === undefined ? {} : { hint }), retryable: isRetryable } };
}

/** Commander's complaints are usage errors like our own; the rest passes through. */
export function asExpected(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  const [first = "", ...rest] = error.message.replace(/^error: /, "").split("\n");
  const suggestion = /\(Did you mean (.+)\?\)/.exec(rest.join(" "))?.[1];
  const isCommand = error.code === "commander.unknownCommand" || error.code === "commander.help";
  return new GatehouseError(
    isCommand ? "usage.unknown-command" : "usage.bad-argument",
    error.code === "commander.help" ? "a command is missing" : uncapitalized(first),
    {
      hint:
        suggestion === undefined ? "--help after any command shows its use" : `did you mean ${suggestion}?`,
    },
  );
}

function uncapitalized(sentence: string): string {
  return sentence
    .replace(/\.$/, "")
    .replace(/\. ([A-Z])/g, (_, letter: string) => `, ${letter.toLowerCase()}`);
}
