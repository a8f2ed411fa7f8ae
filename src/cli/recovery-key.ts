/** The recovery key that `init` and others make: shown once, on standard error, and kept nowhere. */
import type { Command } from "commander";
import { type SecretBytes, systemRandom } from "../core/index.ts";
import { generateRecoveryKey, parseRecipient } from "../keystore/index.ts";
import type { Context } from "./context.ts";

export interface RecoveryOptions {
  /** False for `--no-recovery-key`. */
  readonly recoveryKey?: boolean;
  readonly recoveryRecipient?: string;
}

/** Adds what `recoveryChoice` reads. */
export function withRecoveryOptions(command: Command): Command {
  return command
    .option("--no-recovery-key", "make none: whoever loses the vault's key then loses everything")
    .option(
      "--recovery-recipient <age1>",
      "take the recipient of an age key that you have; nothing is shown",
    );
}

export interface RecoveryChoice extends Disposable {
  /** 32 bytes; undefined when there is to be no recovery key. */
  readonly recipient: Uint8Array | undefined;
  /** Shows a key that was made here. */
  show(context: Context): void;
}

/** @throws GatehouseError `usage.bad-argument` for something else than a recipient. */
export function recoveryChoice({ recoveryKey, recoveryRecipient }: RecoveryOptions): RecoveryChoice {
  if (recoveryRecipient !== undefined) return shown(parseRecipient(recoveryRecipient), undefined);
  if (recoveryKey === false) return shown(undefined, undefined);
  const { text, recipient } = generateRecoveryKey(systemRandom);
  return shown(recipient, text);
}

function shown(recipient: Uint8Array | undefined, text: SecretBytes | undefined): RecoveryChoice {
  return {
    recipient,
    show: ({ io, output, commandLine }) => {
      if (text === undefined) return;
      output.prompt(
        `\n${output.noteStyle.bold("The recovery key: write this down, it is shown only this once")}\n\n    `,
      );
      text.use((bytes) => io.stderr.write(bytes));
      output.prompt(
        "\n\nIt opens this gatehouse when its other keys are lost, and so it does for whoever finds it:\n" +
          `keep it on paper, or in a safe place of another kind. Try it with: ${commandLine("recovery test")}\n`,
      );
    },
    [Symbol.dispose]: () => text?.[Symbol.dispose](),
  };
}
