import { createSecretKey } from "node:crypto";
import type { KekProvider, VaultStore } from "../../src/vault/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Fault, type FaultRun, MemoryDisk, type Unsynced } from "./memory-disk.ts";
import { MemoryAudit } from "./support.ts";

/** An audit log that knows what of it is on disk. */
export class SyncedAudit extends MemoryAudit {
  #synced = 0;
  /** Takes nothing from now on. */
  isBroken = false;

  override committed(sequence: number, events: readonly Uint8Array[]): void {
    if (this.isBroken) throw new Error("injected");
    super.committed(sequence, events);
  }

  override async sync(): Promise<void> {
    await super.sync();
    this.#synced = this.entries.length;
  }

  afterPowerLoss(unsynced: Unsynced): SyncedAudit {
    const audit = new SyncedAudit();
    audit.entries.push(...(unsynced === "there" ? this.entries : this.entries.slice(0, this.#synced)));
    audit.#synced = audit.entries.length;
    return audit;
  }
}

/** Where a store lies, and everything that can happen to it there. */
export interface StoreWorld {
  readonly audit: SyncedAudit;
  readonly clock: ManualClock;
  /** One at a time. */
  open(): Promise<VaultStore>;
  /** What would be left of all this if power failed at this moment; what is here goes on. */
  afterPowerLoss(unsynced: Unsynced): StoreWorld;
  breakDisk(fault: Fault, run?: Omit<FaultRun, "fault">): void;
  /** The disk works again, and time has passed. */
  mendDisk(): void;
  /** What is on the disk of records. */
  readonly contents: ReadonlyMap<string, Uint8Array>;
  /** A copy with this on the disk. */
  withContents(contents: ReadonlyMap<string, Uint8Array>): StoreWorld;
}

/** Opens the store that lies in `dir`; makes it if there is none. */
export type Opener = (
  dir: string,
  on: { readonly files: MemoryDisk; readonly audit: SyncedAudit; readonly clock: ManualClock },
) => Promise<VaultStore>;

/** The world of an engine that keeps its records in files. */
export class DiskWorld implements StoreWorld {
  static readonly DIR = "/vault";
  readonly audit: SyncedAudit;
  readonly clock = new ManualClock();
  readonly disk: MemoryDisk;
  readonly #opener: Opener;

  constructor(opener: Opener, at?: { readonly disk: MemoryDisk; readonly audit: SyncedAudit }) {
    this.#opener = opener;
    this.disk = at?.disk ?? new MemoryDisk();
    this.audit = at?.audit ?? new SyncedAudit();
  }

  async open(): Promise<VaultStore> {
    return await this.#opener(DiskWorld.DIR, { files: this.disk, audit: this.audit, clock: this.clock });
  }

  afterPowerLoss(unsynced: Unsynced): StoreWorld {
    const disk = this.disk.afterPowerLoss(unsynced);
    return new DiskWorld(this.#opener, { disk, audit: this.audit.afterPowerLoss(unsynced) });
  }

  breakDisk(fault: Fault, run = { after: 0, count: Number.POSITIVE_INFINITY }): void {
    this.disk.break({ fault, ...run });
  }

  mendDisk(): void {
    this.disk.break(undefined);
    this.clock.advance(60_000);
  }

  get contents(): ReadonlyMap<string, Uint8Array> {
    return this.disk.contents;
  }

  withContents(contents: ReadonlyMap<string, Uint8Array>): StoreWorld {
    return new DiskWorld(this.#opener, {
      disk: MemoryDisk.of(contents),
      audit: this.audit.afterPowerLoss("there"),
    });
  }
}

const KEY = createSecretKey(new SeededRandom(11).bytes(32));

/** A key that is always there. */
export const givenKek: KekProvider = {
  kind: "given",
  create: () => Promise.resolve({ key: KEY, parameters: new Uint8Array() }),
  load: () => Promise.resolve(KEY),
};
