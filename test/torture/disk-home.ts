/** A small home with one of everything in it, made by the real program, and its files. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fromUtf8, systemRandom, utf8 } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { formatRecipient, generateRecoveryKey } from "../../src/keystore/index.ts";
import { Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { readTree, type Tree, writeTree } from "./disk-tree.ts";

const KEYS = "keys/";

export class SmallHome implements AsyncDisposable {
  readonly install: Install;
  /** By path, what it answers. */
  readonly secrets: ReadonlyMap<string, string>;
  readonly recoveryKey: string;
  /** Everything in the home and, below `keys/`, its key files. */
  readonly files: Tree;

  private constructor(
    install: Install,
    made: {
      readonly secrets: ReadonlyMap<string, string>;
      readonly recoveryKey: string;
      readonly files: Tree;
    },
  ) {
    this.install = install;
    this.secrets = made.secrets;
    this.recoveryKey = made.recoveryKey;
    this.files = made.files;
  }

  static async make(): Promise<SmallHome> {
    const install = await Install.create();
    try {
      const { text, recipient } = generateRecoveryKey(systemRandom);
      const recoveryKey = text.use((bytes) => fromUtf8(bytes));
      await install.json(["init", "--name", "disk", "--recovery-recipient", formatRecipient(recipient)]);
      const secrets = await fill(install);
      const home = await readTree(install.home);
      const keys = [...(await readTree(keyDirOf(install)))].map(
        ([path, bytes]) => [`${KEYS}${path}`, bytes] as const,
      );
      return new SmallHome(install, { secrets, recoveryKey, files: new Map([...home, ...keys]) });
    } catch (failure) {
      await install[Symbol.asyncDispose]();
      throw failure;
    }
  }

  get keyDir(): string {
    return keyDirOf(this.install);
  }

  /** Puts everything back as it was, but for one file. Folders stay: a new one would be taken for a copy's. */
  async restore(changed?: { readonly path: string; readonly bytes: Uint8Array }): Promise<void> {
    const all = changed === undefined ? this.files : new Map([...this.files, [changed.path, changed.bytes]]);
    const { home } = this.install;
    for (const path of (await readTree(home)).keys()) if (!all.has(path)) await rm(join(home, path));
    for (const [path, bytes] of all) {
      const isKey = path.startsWith(KEYS);
      await writeTree(isKey ? this.keyDir : home, new Map([[isKey ? path.slice(KEYS.length) : path, bytes]]));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.install[Symbol.asyncDispose]();
  }
}

function keyDirOf({ root }: Install): string {
  return join(root, "config", "gatehouse", "keys");
}

/** A snapshot comes of the destruction; what follows it is in the journal alone. */
async function fill(install: Install): Promise<ReadonlyMap<string, string>> {
  await using daemon = await install.serve();
  const secrets = new Map([
    ["kept/one", "first"],
    ["kept/two", "second ".repeat(40)],
    ["kept/late", "third"],
  ]);
  {
    await using door = await OwnerDoor.open(install.home, daemon.port);
    const put = async (path: string, value: string): Promise<void> => {
      await door.call(METHODS.Vault.Put, { path, value: utf8(value) });
    };
    await put("kept/one", "superseded");
    for (const path of ["gone", "kept/one", "kept/two"]) await put(path, secrets.get(path) ?? "gone");
    await door.call(METHODS.Vault.Destroy, { path: "gone" });
    await put("kept/late", secrets.get("kept/late") ?? "");
  }
  // Leaves what a client keeps of its own: its tickets.
  await install.json(["vault", "get", "kept/one"]);
  await daemon.stop();
  return secrets;
}
