/** Everything a gatehouse has, in one file that only the holders of a key can read; and a gatehouse from it. */
import { open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { GatehouseError, LIMITS, silentLogger, systemClock, systemRandom } from "../../core/index.ts";
import type { BackupInput } from "../../daemon/index.ts";
import { type BackupKeyOptions, backupKey, ownRecipient, withBackupKeyOptions } from "../backup-key.ts";
import type { Commands, Context } from "../context.ts";
import { keyAt } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { facts } from "../table.ts";
import { byteSize, plural } from "../words.ts";

export function addBackup({ program, bind }: Commands): void {
  const backup = program
    .command("backup")
    .description("keep everything this gatehouse has in one sealed file, and bring it back");
  const create = backup
    .command("create <file>")
    .description(
      "write a backup, for the recovery key and whom you name, while the gatehouse runs; - is standard output",
    )
    .option("--to <age1>", "somebody else who can read it, as age-keygen prints them; again for more", gather)
    .option("--to-self", "this device can read it too, by its own key")
    .option("--force", "replace a file that is there");
  bind(withRemoteOption(create), createBackup);
  const gatehouse = ["--gatehouse <device-id>", "refuse the backup of any other gatehouse"] as const;
  bind(
    withBackupKeyOptions(
      backup
        .command("verify <file>")
        .description("prove that a gatehouse could be made of a backup: every byte and every record"),
    ).option(...gatehouse),
    verify,
  );
  bind(
    withBackupKeyOptions(
      backup.command("restore <file>").description("make a new home, --home DIR, from a backup"),
    )
      .option(...gatehouse)
      .option("--new-kek <place>", "where the vault's new key is kept, as for init; keyfile by default")
      .option("--new-kek-passphrase-file <file>", "read the new passphrase from a file's first line"),
    restore,
  );
}

interface CreateOptions extends RemoteOption {
  readonly to?: readonly string[];
  readonly toSelf?: boolean;
  readonly force?: boolean;
}

async function createBackup(
  context: Context,
  [file = ""]: readonly string[],
  { to: others = [], toSelf, force, ...remote }: CreateOptions,
): Promise<undefined> {
  const { output } = context;
  const to = toSelf === true ? [...others, await ownRecipient(context)] : others;
  if (file === "-") {
    refuseTerminal(context);
    const write = (bytes: Uint8Array): Promise<void> => {
      output.bytes(bytes);
      return Promise.resolve();
    };
    await withSession(context, remote, (session) => receive(context, session, { to, write }));
    return;
  }
  const path = resolve(file);
  if (force !== true && (await isThere(path))) {
    throw new GatehouseError("file.exists", `${path} is there already`, {
      hint: "name another file, or replace it with --force",
    });
  }
  await using target = await PartialFile.begin(path);
  const summary = await withSession(context, remote, (session) =>
    receive(context, session, { to, write: (bytes) => target.write(bytes) }),
  );
  await target.finish();
  const { sequence, sizeBytes, sha256, recipients, createdAt } = summary;
  output.result({ path, sizeBytes, sha256, sequence, createdAt, recipients }, () =>
    [
      `backed up to ${path}, ${byteSize(sizeBytes)}`,
      facts(
        [
          ["sha-256", sha256],
          ["readable by", recipients.join("\n")],
        ],
        output.style,
      ),
      `Try it with: ${context.commandLine(`backup verify ${file}`)}`,
    ].join("\n\n"),
  );
}

/** Nobody wants a sealed file on a screen. */
function refuseTerminal({ io }: Context): void {
  if (io.stdout.isTTY !== true) return;
  throw new GatehouseError("usage.bad-argument", "standard output is a terminal", {
    hint: "send it to a program or a file: gatehouse backup create - | ssh HOST 'cat > hall.age'",
  });
}

async function receive(
  { output }: Context,
  { client, methods, options }: Session,
  { to, write }: { readonly to: readonly string[]; readonly write: (bytes: Uint8Array) => Promise<void> },
) {
  let receivedBytes = 0;
  const call = { ...options, timeoutMs: LIMITS.callTimeoutMaxMs };
  for await (const { bytes, summary } of client.stream(
    methods.Backup.Create,
    { recipients: [...to] },
    call,
  )) {
    if (summary !== undefined && summary !== null) {
      const { sequence, sizeBytes, sha256, recipients, createdAt } = summary;
      return {
        ...{ sequence: sequence ?? 0, sizeBytes: sizeBytes ?? 0, createdAt: createdAt ?? 0 },
        ...{ sha256: Buffer.from(sha256 ?? []).toString("hex"), recipients: [...(recipients ?? [])] },
      };
    }
    await write(bytes);
    receivedBytes += bytes.length;
    output.progress(`${byteSize(receivedBytes)} so far`);
  }
  throw new GatehouseError("rpc.cancelled", "the backup ended before it was whole", { hint: "try again" });
}

/** A file that appears under its name when it is whole, or not at all. */
class PartialFile implements AsyncDisposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #handle: Awaited<ReturnType<typeof open>>;
  #isFinished = false;

  private constructor(path: string, temporary: string, handle: Awaited<ReturnType<typeof open>>) {
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  static async begin(path: string): Promise<PartialFile> {
    const suffix = Buffer.from(systemRandom.bytes(6)).toString("hex");
    const temporary = join(dirname(path), `.${basename(path)}.${suffix}.tmp`);
    return new PartialFile(path, temporary, await kept(path, () => open(temporary, "wx", 0o600)));
  }

  async write(bytes: Uint8Array): Promise<void> {
    await kept(this.#path, () => this.#handle.writeFile(bytes));
  }

  async finish(): Promise<void> {
    await kept(this.#path, async () => {
      await this.#handle.sync();
      await rename(this.#temporary, this.#path);
      this.#isFinished = true;
      await using folder = await open(dirname(this.#path));
      await folder.sync();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    if (!this.#isFinished) await rm(this.#temporary, { force: true });
  }
}

/** @throws GatehouseError `file.not-found`, `file.io` for what the disk answers */
async function kept<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown";
    const hint = "no backup was left behind; name another place";
    if (code === "ENOENT")
      throw new GatehouseError("file.not-found", `no folder ${dirname(path)}`, { hint, cause });
    const reason = code === "ENOSPC" || code === "EDQUOT" ? "the disk is full" : code;
    throw new GatehouseError("file.io", `the backup cannot be written to ${path}: ${reason}`, {
      hint,
      cause,
    });
  }
}

interface IdentityOption extends BackupKeyOptions {
  readonly gatehouse?: string;
}

async function verify(
  context: Context,
  [file = ""]: readonly string[],
  options: IdentityOption,
): Promise<undefined> {
  const { output } = context;
  const { verifyBackup } = await loadDaemon();
  const { manifest, versions, devices } = await verifyBackup(await backupInput(context, file, options));
  const { gatehouse, createdAt, sequence, entries } = manifest;
  output.result(
    { whole: true, gatehouse, createdAt, sequence, versions, devices, files: entries.length },
    () =>
      [
        "The backup is whole: a home was made of it aside, and everything in it opened.",
        facts(
          [
            ["gatehouse", printable(gatehouse.name)],
            ["device id", gatehouse.id],
            ["made", timeOf(createdAt)],
            ["secrets", plural(versions, "version")],
            ["devices", String(devices)],
          ],
          output.style,
        ),
      ].join("\n\n"),
  );
}

interface RestoreOptions extends IdentityOption {
  readonly newKek?: string;
  readonly newKekPassphraseFile?: string;
}

async function restore(
  context: Context,
  [file = ""]: readonly string[],
  options: RestoreOptions,
): Promise<undefined> {
  const { config, output, commandLine } = context;
  const { restoreBackup } = await loadDaemon();
  using added = keyAt(context, options.newKek ?? "keyfile", options.newKekPassphraseFile);
  const input = await backupInput(context, file, options);
  const { home, keyDir } = config;
  const { gatehouse, createdAt, sequence } = await restoreBackup({
    ...input,
    home,
    keyDir,
    kek: added.provider,
  });
  output.result({ gatehouse, createdAt, sequence, home, keyDir }, () =>
    [
      `${printable(gatehouse.name)} is back in ${home}, as it stood on ${timeOf(createdAt)}.`,
      `Its device id is ${gatehouse.id}: compare it, since whoever knows a recovery key's public half can make a backup for it.`,
      `Start it with: ${commandLine("serve")}`,
      "Every device is held until you let it in again, since some may have been revoked after the backup: " +
        `${commandLine("device ls")}, then ${commandLine("device release DEVICE")}`,
    ].join("\n"),
  );
}

async function backupInput(
  context: Context,
  file: string,
  { gatehouse, ...from }: IdentityOption,
): Promise<BackupInput> {
  const { output, signal } = context;
  const sizeBytes = await sizeOf(file);
  return {
    ...{ file, key: await backupKey(context, from) },
    ...{ clock: systemClock, random: systemRandom, logger: silentLogger, gatehouse, signal },
    progress: (readBytes: number) => output.progress(`${byteSize(readBytes)} of ${byteSize(sizeBytes)} read`),
  };
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw new GatehouseError("file.not-found", `no file ${file}`, { cause });
  }
}

/** Of a number that a stranger may have written. */
function timeOf(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "at no time" : date.toISOString();
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
