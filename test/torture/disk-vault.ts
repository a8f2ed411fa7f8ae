/** The vault whose disk is tortured: the real one, with the real audit log beside it, and a ledger of what is asked of it. */
import { createSecretKey } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AuditLog } from "../../src/audit/index.ts";
import {
  GatehouseError,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
} from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { type KekProvider, parseSecretPath, Vault } from "../../src/vault/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Note, type Opened, RESOURCE, type Step } from "./disk-model.ts";
import { killValue } from "./kill-value.ts";

const KEY = createSecretKey(new SeededRandom(11).bytes(32));

/** A key that is always there and costs nothing. */
export const givenKey: KekProvider = {
  kind: "given",
  create: () => Promise.resolve({ key: KEY, parameters: new Uint8Array() }),
  load: () => Promise.resolve(KEY),
};

export interface OpenOptions {
  readonly kek?: KekProvider;
  readonly random?: Random;
  readonly logger?: Logger;
  /** Transactions in the journal that make a checkpoint due. */
  readonly journalTransactions?: number;
}

/** The folders are there before anything happens to the disk. */
export async function makeFolders(root: string): Promise<void> {
  for (const name of ["vault", "audit"]) await mkdir(join(root, name), { recursive: true, mode: 0o700 });
}

/** Opens the vault in `root`, or makes it. @throws GatehouseError as `Vault.openOrCreate` */
export async function openTortured(root: string, options: OpenOptions = {}): Promise<Opened> {
  const {
    kek = givenKey,
    random = systemRandom,
    logger = silentLogger,
    journalTransactions = 1_000,
  } = options;
  const effects = { clock: systemClock, random, logger };
  let opening: AuditLog | undefined;
  try {
    const vault = await Vault.openOrCreate({
      ...{ ...effects, dir: join(root, "vault"), kek },
      limits: { journalTransactions, secretVersionsKept: 1_000 },
      audit: async (deriveKey) => {
        const key = deriveKey(LABELS.auditLog);
        opening = await AuditLog.open({ ...effects, dir: join(root, "audit"), key });
        return opening;
      },
    });
    if (opening === undefined) throw new TypeError("the vault did not open its audit log");
    return new TorturedVault(vault, opening);
  } catch (failure) {
    await opening?.[Symbol.asyncDispose]();
    throw failure;
  }
}

class TorturedVault implements Opened {
  readonly vault: Vault;
  readonly log: AuditLog;

  constructor(vault: Vault, log: AuditLog) {
    this.vault = vault;
    this.log = log;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.vault[Symbol.asyncDispose]();
    } finally {
      await this.log[Symbol.asyncDispose]();
    }
  }
}

/** Asks, and notes what was asked and answered. */
export class Ledger {
  readonly #note: (note: Note) => void;
  #id: number;

  /** Ids go on above `id`. */
  constructor(note: (note: Note) => void, id = 0) {
    this.#note = note;
    this.#id = id;
  }

  get lastId(): number {
    return this.#id;
  }

  /** Never rejects: what it failed with is in the ledger. */
  async ask({ vault, log }: Opened, step: Step): Promise<string> {
    this.#id += 1;
    const id = this.#id;
    this.#note({ kind: "asked", id, step });
    const fields = { action: `torture:${step.what}`, resource: `${RESOURCE}${id}`, outcome: "done" } as const;
    const outcome = await outcomeOf(() => carryOut(vault, { ...step, id }, log.encodeEvent(fields)));
    this.#note({ kind: "answered", id, outcome });
    return outcome;
  }
}

/** `done`, or the code of the failure. */
export async function outcomeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "done";
  } catch (failure) {
    return failure instanceof GatehouseError ? failure.code : `no code: ${String(failure)}`;
  }
}

async function carryOut(
  vault: Vault,
  step: Step & { readonly id: number },
  audit: Uint8Array,
): Promise<unknown> {
  const path = parseSecretPath(step.path);
  switch (step.what) {
    case "put":
      return await vault.secrets.put(
        { path, value: killValue(step.path, step.id), createdBy: "t" },
        { audit },
      );
    case "remove":
      return await vault.secrets.remove({ path }, { audit });
    case "destroy":
      return await vault.secrets.destroy({ path }, { audit });
  }
}
