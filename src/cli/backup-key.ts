/** What opens a backup: an age identity from a file or the terminal, or a device's own key. */
import type { Command } from "commander";
import { openHomeIdentity } from "../client/index.ts";
import { GatehouseError } from "../core/index.ts";
import type { BackupInput } from "../daemon/index.ts";
import { homeLayout } from "../files/index.ts";
import { formatRecipient } from "../keystore/index.ts";
import type { Context } from "./context.ts";
import { askHidden, canAsk, readTextFile } from "./input.ts";

export interface BackupKeyOptions {
  readonly identityFile?: string;
  readonly deviceHome?: string;
}

/** Of a file of age-keygen, comments included. */
const IDENTITY_FILE_BYTES_MAX = 65_536;

/** Adds what `backupKey` reads. */
export function withBackupKeyOptions(command: Command): Command {
  return command
    .option("--identity-file <file>", "the recovery key, or another age identity it was made for")
    .option("--device-home <dir>", "the home of a device that it was made for, whose own key opens it");
}

/** @throws GatehouseError `usage.bad-argument`, `file.*`; `remote.none` for a home without an identity */
export async function backupKey(
  context: Context,
  { identityFile, deviceHome }: BackupKeyOptions,
): Promise<BackupInput["key"]> {
  if (identityFile !== undefined && deviceHome !== undefined) {
    throw new GatehouseError("usage.bad-argument", "--identity-file and --device-home exclude each other");
  }
  return deviceHome === undefined
    ? await ageIdentity(context, identityFile)
    : (await openHomeIdentity(homeLayout(deviceHome))).agreement;
}

/** `age1…` of this home's own key. @throws GatehouseError `remote.none` */
export async function ownRecipient({ config }: Context): Promise<string> {
  const { agreement } = await openHomeIdentity(homeLayout(config.home));
  return formatRecipient(agreement.publicKey);
}

/** The first line that is one: files of age-keygen have comments, too. */
async function ageIdentity(context: Context, file: string | undefined): Promise<string> {
  const text =
    file === undefined
      ? await typedIdentity(context)
      : await readTextFile(context, file, IDENTITY_FILE_BYTES_MAX);
  const line = text.split("\n").find((candidate) => candidate.trim().startsWith("AGE-SECRET-KEY-"));
  if (line !== undefined) return line.trim();
  throw new GatehouseError("usage.bad-argument", "this is no recovery key, nor another age identity", {
    hint: "it begins with AGE-SECRET-KEY-1",
  });
}

async function typedIdentity(context: Context): Promise<string> {
  if (canAsk(context)) return await askHidden(context, "recovery key (not shown): ");
  throw new GatehouseError(
    "usage.bad-argument",
    "the recovery key is needed, and nobody is here to be asked",
    {
      hint: "give --identity-file FILE, or - to read it from standard input",
    },
  );
}
