/**
 * A small home, and one bit of it changed: at every offset of every file that holds something, read in process by what reads it
 * in the daemon; at some offsets of every file, through the real command line.
 */
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AuditLog } from "../../src/audit/index.ts";
import { DeviceCa } from "../../src/ca/index.ts";
import { EXIT, GatehouseError, systemClock, systemRandom, utf8 } from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { readBootRecord } from "../../src/daemon/boot-record.ts";
import { caKeyCodec } from "../../src/daemon/ca-key-codec.ts";
import { readDoorRecord } from "../../src/daemon/door-record.ts";
import { openIdentityCopy } from "../../src/daemon/recovery.ts";
import { type HomeLayout, homeLayout } from "../../src/files/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { recoveryProvider } from "../../src/keystore/index.ts";
import { type AuditSink, type KekProvider, keyFileProvider, Vault } from "../../src/vault/index.ts";
import { Daemon } from "../support/gatehouse-process.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { everything } from "../vault/conformance-support.ts";
import { MemoryDisk } from "../vault/memory-disk.ts";
import { SmallHome } from "./disk-home.ts";
import type { Tree } from "./disk-tree.ts";

export interface FlipsOptions {
  readonly scratch: string;
  readonly seed: number;
  /** One offset in so many is changed in process. */
  readonly every: number;
  /** Changes that go through the real program. */
  readonly throughProgram: number;
  readonly progress: (figures: FlipsFigures) => void;
}

export interface FlipsFigures {
  /** In process, by file: offsets changed; every one of them was found as damage. */
  readonly found: Record<string, number>;
  /** Through the program: ended with 9; or the file is one that is made anew, and everything was answered right. */
  exits: number;
  readonly harmless: Record<string, number>;
}

/**
 * What a changed bit costs nothing in: `door` and `identity/key-dir.json` are written anew whenever the vault is open (a sealed
 * start refuses the door, as the in-process part shows), `identity/owner.json` when it does not read, `lock` only tells who
 * holds it, a ticket that does not open costs a round trip, recorded requests that do not are begun anew, and a mark that says something else holds devices back.
 */
const MADE_ANEW = [
  ...[/^door$/, /^identity\/(key-dir|owner)\.json$/, /^lock$/],
  ...[/^tickets\//, /^keys\/.*\.mark$/, /^requests$/],
];

const TOLD_EVERY = 5_000;
const PROBLEMS_MAX = 20;
const VAULT = "/vault";

/** Reads what a file holds, and answers it; throws when it is damaged. */
type Reader = (path: string, bytes: Uint8Array) => Promise<string>;

export async function flip(
  options: FlipsOptions,
): Promise<{ readonly figures: FlipsFigures; readonly problems: readonly string[] }> {
  const figures: FlipsFigures = { found: {}, exits: 0, harmless: {} };
  await using home = await SmallHome.make();
  const problems = [
    ...(await flipInProcess(home, options, figures)),
    ...(await flipThroughProgram(home, options, figures)),
  ];
  return { figures, problems };
}

async function flipInProcess(
  home: SmallHome,
  { scratch, seed, every, progress }: FlipsOptions,
  figures: FlipsFigures,
): Promise<readonly string[]> {
  await using readers = await Readers.open(home, scratch);
  const random = new SeededRandom(seed);
  const problems: string[] = [];
  let count = 0;
  for (const [path, bytes] of home.files) {
    const reader = readers.of(path);
    if (reader === undefined) continue;
    const right = await reader(path, bytes);
    for (let offset = seed % every; offset < bytes.length; offset += every) {
      const bit = Math.floor(random.next() * 8);
      const problem = await judge(() => reader(path, flipped(bytes, offset, bit)), right);
      if (problem === undefined) figures.found[path] = (figures.found[path] ?? 0) + 1;
      else problems.push(`${path}, bit ${bit} of byte ${offset}: ${problem}`);
      count += 1;
      if (count % TOLD_EVERY === 0) progress(figures);
      if (problems.length >= PROBLEMS_MAX) return problems;
    }
    await readers.putBack(path, bytes);
  }
  return problems;
}

async function judge(read: () => Promise<string>, right: string): Promise<string | undefined> {
  try {
    return (await read()) === right ? "nobody noticed" : "it gives wrong answers";
  } catch (failure) {
    return isDamage(failure) ? undefined : `it is called ${String(failure)}`;
  }
}

function isDamage(failure: unknown): boolean {
  return failure instanceof GatehouseError && failure.exitCode === EXIT.integrity;
}

function flipped(bytes: Uint8Array, offset: number, bit: number): Uint8Array {
  return bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << bit));
}

/** Reads files of a home as the daemon does, in a copy of it. */
class Readers implements AsyncDisposable {
  readonly #root: string;
  readonly #layout: HomeLayout;
  readonly #keyDir: string;
  readonly #home: SmallHome;
  readonly #identity: DeviceIdentity;
  readonly #vault: Vault;
  readonly #kek: KekProvider;
  readonly #sink: AuditSink;

  private constructor(parts: {
    readonly root: string;
    readonly home: SmallHome;
    readonly identity: DeviceIdentity;
    readonly vault: Vault;
    readonly kek: KekProvider;
    readonly sink: AuditSink;
  }) {
    this.#root = parts.root;
    this.#layout = homeLayout(join(parts.root, "home"));
    this.#keyDir = join(parts.root, "keys");
    this.#home = parts.home;
    this.#identity = parts.identity;
    this.#vault = parts.vault;
    this.#kek = parts.kek;
    this.#sink = parts.sink;
  }

  static async open(home: SmallHome, scratch: string): Promise<Readers> {
    const root = await mkdtemp(join(scratch, "flips-"));
    await cp(home.install.home, join(root, "home"), { recursive: true });
    await cp(home.keyDir, join(root, "keys"), { recursive: true });
    const layout = homeLayout(join(root, "home"));
    const files = keyFileProvider({ dir: join(root, "keys"), random: systemRandom });
    const identity = await DeviceIdentity.open(layout.identityDir, { random: systemRandom, keys: files });
    const kek = rememberingKey(files);
    const heard = new HeardSink();
    const vault = await openVault(home.files, kek, async (key) => {
      await using log = await AuditLog.open({
        dir: layout.auditDir,
        key,
        clock: systemClock,
        random: systemRandom,
      });
      heard.lastJournalSequence = log.lastJournalSequence;
      return heard;
    });
    return new Readers({ root, home, identity, vault, kek, sink: heard });
  }

  /** Undefined for what is made anew. */
  of(path: string): Reader | undefined {
    if (path.startsWith("vault/")) return (at, bytes) => this.#readVault(at, bytes);
    const read = this.#readerOnDisk(path);
    if (read === undefined) return undefined;
    return async (at, bytes) => {
      await this.putBack(at, bytes);
      return JSON.stringify(await read());
    };
  }

  async putBack(path: string, bytes: Uint8Array): Promise<void> {
    await writeFile(path.startsWith("keys/") ? join(this.#root, path) : join(this.#layout.root, path), bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#vault[Symbol.asyncDispose]();
    await rm(this.#root, { recursive: true, force: true });
  }

  #readerOnDisk(path: string): (() => Promise<unknown>) | undefined {
    const [layout, identity] = [this.#layout, this.#identity];
    const keys = keyFileProvider({ dir: this.#keyDir, random: systemRandom });
    if (path === "boot") return () => readBootRecord(layout.bootFile, identity);
    if (path === "door") return () => readDoorRecord(layout.doorFile, identity);
    if (path.startsWith("audit/")) return () => this.#readAudit();
    if (path.startsWith("ca/")) return () => this.#readAuthority();
    if (path === "identity/identity.key") {
      return async () =>
        (await DeviceIdentity.open(layout.identityDir, { random: systemRandom, keys })).fingerprint;
    }
    if (path.startsWith("identity/recovery-")) {
      const recovery = recoveryProvider({ ask: () => Promise.resolve(utf8(this.#home.recoveryKey)) });
      return async () => (await openIdentityCopy(layout, recovery)).id;
    }
    if (path.endsWith(".kek")) {
      return async () => (await keys.load(basename(path, ".kek"), new Uint8Array())).export().toString("hex");
    }
    return undefined;
  }

  async #readAudit(): Promise<unknown> {
    const key = this.#vault.deriveKey(LABELS.auditLog);
    const options = { dir: this.#layout.auditDir, key, clock: systemClock, random: systemRandom };
    await using log = await AuditLog.open(options);
    const verdict = await log.verify();
    if (verdict.kind === "damaged") throw new GatehouseError("audit.damaged", verdict.reason);
    return (await log.tail(10_000)).map(({ hash }) => Buffer.from(hash).toString("hex"));
  }

  async #readAuthority(): Promise<unknown> {
    const effects = { random: systemRandom, clock: systemClock };
    const codec = caKeyCodec(this.#vault);
    const ca = await DeviceCa.open(this.#layout.caDir, { gatehouseId: this.#identity.id, codec, ...effects });
    return ca.certificatesDer.map((der) => Buffer.from(der).toString("hex"));
  }

  async #readVault(path: string, bytes: Uint8Array): Promise<string> {
    const files = new Map([...this.#home.files, [path, bytes]]);
    await using vault = await openVault(files, this.#kek, this.#sink);
    const records = everything(vault.store).map(({ body, ...rest }) => ({ ...rest, body: [...body] }));
    const values: string[] = [];
    const { secrets } = await vault.secrets.list({ limit: 1_000 });
    for (const secret of secrets) {
      const { value } = await vault.secrets.get(secret.path);
      values.push(`${secret.path} ${Buffer.from(value).toString("hex")}`);
    }
    return JSON.stringify({ records, values });
  }
}

class HeardSink implements AuditSink {
  lastJournalSequence = 0;
  readonly committed = (): void => undefined;
  readonly sync = (): Promise<void> => Promise.resolve();
}

/** Asks for a key once. */
function rememberingKey(provider: KekProvider): KekProvider {
  let key: ReturnType<KekProvider["load"]> | undefined;
  return {
    ...provider,
    load: (id, parameters) => {
      key ??= provider.load(id, parameters);
      return key;
    },
  };
}

async function openVault(
  files: Tree,
  kek: KekProvider,
  audit: AuditSink | ((key: ReturnType<Vault["deriveKey"]>) => Promise<AuditSink>),
): Promise<Vault> {
  const contents = [...files].filter(([path]) => dirname(path) === "vault");
  return await Vault.open({
    ...{ dir: VAULT, kek, clock: systemClock },
    files: MemoryDisk.of(new Map(contents.map(([path, bytes]) => [join(VAULT, basename(path)), bytes]))),
    audit: typeof audit === "function" ? (deriveKey) => audit(deriveKey(LABELS.auditLog)) : audit,
  });
}

async function flipThroughProgram(
  home: SmallHome,
  { seed, throughProgram }: FlipsOptions,
  figures: FlipsFigures,
): Promise<readonly string[]> {
  const random = new SeededRandom(seed + 1);
  const paths = [...home.files.keys()];
  const ofVault = paths.filter((path) => path.startsWith("vault/"));
  const others = paths.filter((path) => !path.startsWith("vault/"));
  const problems: string[] = [];
  for (let count = 0; count < throughProgram; count += 1) {
    const from = count % 2 === 0 ? ofVault : others;
    const path = from[(seed + Math.floor(count / 2)) % from.length] ?? "";
    const bytes = home.files.get(path) ?? new Uint8Array();
    const [offset, bit] = [Math.floor(random.next() * bytes.length), Math.floor(random.next() * 8)];
    await home.restore({ path, bytes: flipped(bytes, offset, bit) });
    const outcome = await asked(home, path);
    const isHarmless = outcome === "right" && MADE_ANEW.some((pattern) => pattern.test(path));
    if (outcome === "found") figures.exits += 1;
    else if (isHarmless) figures.harmless[path] = (figures.harmless[path] ?? 0) + 1;
    else problems.push(`${path}, bit ${bit} of byte ${offset}, through the program: ${outcome}`);
  }
  await home.restore();
  return problems;
}

/** What the program makes of the home now: `found` for exit 9, `right` when it serves and answers everything as it should. */
async function asked({ install, secrets, recoveryKey }: SmallHome, path: string): Promise<string> {
  if (path.startsWith("identity/recovery-")) {
    return told(await install.outcome(["recovery", "test", "--file", "-"], `${recoveryKey}\n`));
  }
  await using daemon = new Daemon(install.spawn(["serve", "--json", "--listen", "127.0.0.1:0"]));
  try {
    await daemon.event("ready");
  } catch {
    return told({ exit: await daemon.ended(), code: JSON.stringify(daemon.events.at(-1)) });
  }
  for (const [secret, value] of secrets) {
    const got = await install.run(["vault", "get", secret]);
    if (got.exitCode !== 0 || got.stdout.toString() !== value) return `wrong answer: ${got.describe()}`;
  }
  const exit = await daemon.stop();
  return exit === 0 ? "right" : told({ exit, code: daemon.stderr });
}

function told({ exit, code }: { readonly exit: unknown; readonly code: string | undefined }): string {
  return exit === EXIT.integrity ? "found" : `it ended with ${String(exit)}, ${code ?? "no code"}`;
}
