import type { KeyObject } from "node:crypto";
import {
  type Clock,
  fromHex,
  GatehouseError,
  LIMITS,
  type Logger,
  type Random,
  silentLogger,
  systemRandom,
} from "../core/index.ts";
import { type Label, openOnce, sealOnce } from "../crypto/index.ts";
import type { AuditSink } from "./audit-sink.ts";
import { type CaptureParts, captureVault, type VaultCapture } from "./capture.ts";
import type { Checkpointer } from "./checkpoint.ts";
import { type CheckpointLimits, DEFAULT_CHECKPOINT_LIMITS } from "./checkpoint-schedule.ts";
import { defaultCheckpointer } from "./checkpointer.ts";
import { Devices } from "./devices.ts";
import type { KekProvider } from "./kek-provider.ts";
import { deriveKey } from "./keyring.ts";
import type { LiveKeyring } from "./live-keyring.ts";
import { Mutations } from "./mutations.ts";
import { openStore, type StartupReport } from "./open-store.ts";
import { RememberedReplies } from "./replies.ts";
import { Rotation } from "./rotation.ts";
import type { SecretsLimits } from "./secret-types.ts";
import { Secrets } from "./secrets.ts";
import { Settings } from "./settings.ts";
import { Shelf } from "./shelf.ts";
import type { SqlStore } from "./sql-store.ts";
import type { VaultState, VaultStore } from "./store.ts";
import { Users } from "./users.ts";
import { systemFiles, type VaultFiles } from "./vault-files.ts";
import { createVault, hasVault, openVaultKeyring } from "./vault-folder.ts";

export type VaultLimits = SecretsLimits & CheckpointLimits;

export interface VaultOptions {
  /** The vault's folder; the caller holds the home's lock. */
  readonly dir: string;
  readonly kek: KekProvider;
  readonly clock: Clock;
  /** The audit log, or how to open it with a key of this vault; it is opened before the journal is read. */
  readonly audit: AuditSink | ((deriveKey: (label: Label) => KeyObject) => Promise<AuditSink>);
  readonly random?: Random;
  readonly logger?: Logger;
  readonly limits?: Partial<VaultLimits>;
  /** Who makes snapshots; a thread, when running compiled. */
  readonly checkpointer?: Checkpointer;
  readonly files?: VaultFiles;
}

const DEFAULT_LIMITS: VaultLimits = {
  vaultBytes: LIMITS.vaultBytes,
  secretVersionsKept: LIMITS.secretVersionsKept,
  ...DEFAULT_CHECKPOINT_LIMITS,
};

/** An open vault. Disposing of it waits for what is under way. */
export class Vault implements AsyncDisposable {
  /** 32 lower-case hex digits. */
  readonly id: string;
  readonly secrets: Secrets;
  readonly devices: Devices;
  readonly users: Users;
  readonly settings: Settings;
  /** For policies and approvals. */
  readonly policies: Shelf;
  readonly approvals: Shelf;
  /** Replaces the keys that its secrets lie under. */
  readonly rotation: Rotation;
  readonly replies: RememberedReplies;
  /** What opening found and did. */
  readonly report: StartupReport;
  /** The engine below: for what looks at records as such, like its conformance tests. */
  readonly store: VaultStore;
  readonly #capturing: CaptureParts;
  readonly #keyring: LiveKeyring;
  readonly #random: Random;

  private constructor(parts: {
    readonly keyring: LiveKeyring;
    readonly store: SqlStore;
    readonly files: VaultFiles;
    readonly dir: string;
    readonly report: StartupReport;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
    readonly limits: VaultLimits;
  }) {
    const { keyring, store, clock, random, limits } = parts;
    this.id = keyring.vaultId;
    this.report = parts.report;
    this.#keyring = keyring;
    this.store = store;
    this.#random = random;
    this.#capturing = parts;
    this.replies = new RememberedReplies(store, clock);
    const mutations = new Mutations(store, this.replies);
    this.secrets = new Secrets({ mutations, keyring, clock, random, limits });
    this.devices = new Devices(mutations);
    this.users = new Users(mutations, this.devices);
    this.settings = new Settings(mutations);
    this.policies = new Shelf(mutations, "policy");
    this.approvals = new Shelf(mutations, "approval");
    this.rotation = new Rotation({ mutations, keyring, clock, random, logger: parts.logger });
  }

  /**
   * Opens the vault in `dir`.
   * @throws GatehouseError `home.not-initialized` when there is none; `vault.key-missing`, `vault.wrong-key`,
   * `vault.damaged`, `vault.unknown-format`, `audit.damaged`: nothing was changed then; `file.io`.
   */
  static async open(options: VaultOptions): Promise<Vault> {
    const { files = systemFiles, random = systemRandom, logger = silentLogger } = options;
    if (!(await hasVault(files, options.dir))) {
      throw new GatehouseError("home.not-initialized", "there is no vault here", {
        hint: "run gatehouse init",
      });
    }
    const keyring = await openVaultKeyring(options.dir, options.kek, { files, random });
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    const audit =
      typeof options.audit === "function"
        ? await options.audit((label) => deriveKey(keyring, label))
        : options.audit;
    const { store, report } = await openStore({
      ...{ files, dir: options.dir, keyring, random, logger, limits },
      ...{ clock: options.clock, audit },
      checkpointer: options.checkpointer ?? defaultCheckpointer,
    });
    const { clock, dir } = options;
    return new Vault({ keyring, store, files, dir, report, clock, random, logger, limits });
  }

  /** Opens the vault in `dir`, after making it if there is none. @throws GatehouseError as `open`. */
  static async openOrCreate(options: VaultOptions): Promise<Vault> {
    const { files = systemFiles, random = systemRandom } = options;
    if (!(await hasVault(files, options.dir))) {
      const { dir, kek, clock } = options;
      await createVault({ files, dir, provider: kek, random, createdAt: clock.now() });
    }
    return await Vault.open(options);
  }

  get state(): VaultState {
    return this.store.state;
  }

  /** Of the newest durable transaction. */
  get sequence(): number {
    return this.store.sequence;
  }

  /** The keys that open it. */
  get keys(): Pick<LiveKeyring, "slots" | "addSlot" | "removeSlot"> {
    return this.#keyring;
  }

  /**
   * The vault as it stands now, beside what goes on; opened by recovery keys and by `provider`. `mark` runs at that
   * very moment: no change can happen, and the audit log holds every event up to here, synced.
   * @throws GatehouseError `vault.checkpoint-failed`, `vault.read-only`, `rpc.draining`
   */
  async capture(input: {
    readonly provider: KekProvider;
    readonly mark: () => Promise<void>;
  }): Promise<VaultCapture> {
    return await captureVault(this.#capturing, input);
  }

  /** A key for one purpose, gone when the vault's key is gone. */
  deriveKey(label: Label): KeyObject {
    return deriveKey(this.#keyring, label);
  }

  /** Seals a few bytes to be kept elsewhere, such as the CA's key. */
  sealSmall(label: Label, plaintext: Uint8Array): Uint8Array {
    return sealOnce({ ...this.#smallContext(label), plaintext, random: this.#random });
  }

  /** The caller's to wipe; `undefined` when this vault did not seal exactly these bytes under `label`. */
  openSmall(label: Label, sealed: Uint8Array): Uint8Array | undefined {
    return openOnce({ ...this.#smallContext(label), sealed });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rotation[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }

  #smallContext(label: Label) {
    return {
      ...{ key: this.deriveKey(label), label, header: new Uint8Array() },
      associatedData: fromHex(this.id),
    };
  }
}
