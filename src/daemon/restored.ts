/**
 * Notices that this home is a copy of an earlier state, or of another place: whoever was revoked since would be back. Then
 * every device is held until the owner releases it.
 *
 * The mark lies outside of the home, beside the keys, so that it is not copied along:
 *
 * | field | what |
 * | --- | --- |
 * | epoch | how many rights had been taken away |
 * | folder | inode and birth of the vault's folder: a copy has others |
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { AuditFields } from "../audit/index.ts";
import { type Clock, fromUtf8, isGatehouseError, type Logger, utf8 } from "../core/index.ts";
import { ensurePrivateDir, type HomeLayout, readSmallFile, writeAtomic } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { Devices } from "../vault/index.ts";
import { type BootRecord, writeBootRecord } from "./boot-record.ts";

export interface EpochParts {
  readonly layout: HomeLayout;
  /** Outside of the home. */
  readonly keyDir: string;
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly devices: Devices;
  readonly audit: { encodeEvent(fields: AuditFields): Uint8Array };
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Mark {
  readonly epoch: number;
  readonly folder: string;
}

/** Keeps the count of rights taken away where a copy of the vault cannot take it back. */
export class RevocationEpoch {
  readonly #parts: EpochParts;
  readonly #path: string;
  #boot: BootRecord;
  #kept: number;
  #turn: Promise<void> = Promise.resolve();

  private constructor(parts: EpochParts) {
    this.#parts = parts;
    this.#path = markPath(parts);
    this.#boot = parts.boot;
    this.#kept = parts.boot.revocationEpoch;
  }

  /** Holds every device when this home is a copy. Before anybody is let in. @throws vault.*, file.io */
  static async open(parts: EpochParts): Promise<RevocationEpoch> {
    const epoch = new RevocationEpoch(parts);
    const reason = await epoch.#whyCopied();
    if (reason !== undefined) await epoch.#holdAll(reason);
    await epoch.#write();
    return epoch;
  }

  get current(): number {
    return this.#parts.devices.epoch;
  }

  /** Settles when the count of now is kept outside of the vault, too. */
  async keep(): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#kept !== this.current) await this.#write();
    });
    const turn = this.#turn;
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  /** For changes that nobody waits for: it is kept a moment later, or by the next change. */
  keepSoon(): void {
    this.keep().catch((failure: unknown) => {
      this.#parts.logger.error("epoch-not-kept", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    });
  }

  async #whyCopied(): Promise<string | undefined> {
    const { devices, boot, identity, layout } = this.#parts;
    if (boot.revocationEpoch > devices.epoch) return "its vault is older than its boot record";
    const mark = await readMark(this.#path);
    if (mark === undefined) {
      const hasOthers = devices.list().some(({ id, state }) => id !== identity.id && state !== "revoked");
      return hasOthers ? "this machine does not know it" : undefined;
    }
    if (mark.epoch > devices.epoch) return "it is older than what this machine remembers";
    return mark.folder === (await folderOf(layout)) ? undefined : "its folder is another one";
  }

  async #holdAll(reason: string): Promise<void> {
    const { devices, identity, audit, clock, logger, boot } = this.#parts;
    const event: AuditFields = {
      ...{ action: "device:hold", resource: `gatehouse:${identity.id}`, outcome: "done" },
      detail: { reason },
    };
    const held = await devices.holdAll(
      { exceptId: boot.ownerId, at: clock.now(), epochMin: await this.#epochSeen() },
      { audit: () => audit.encodeEvent(event) },
    );
    logger.warn("gatehouse-was-restored", { reason, held });
  }

  /** The highest count that anything remembers: the next one is above it. */
  async #epochSeen(): Promise<number> {
    const mark = await readMark(this.#path);
    return Math.max(mark?.epoch ?? 0, this.#boot.revocationEpoch);
  }

  async #write(): Promise<void> {
    const { layout, identity, keyDir } = this.#parts;
    const epoch = this.current;
    this.#boot = { ...this.#boot, revocationEpoch: epoch };
    await writeBootRecord(layout.bootFile, identity, this.#boot);
    const mark: Mark = { epoch, folder: await folderOf(layout) };
    await ensurePrivateDir(keyDir);
    await writeAtomic(this.#path, utf8(JSON.stringify(mark)));
    this.#kept = epoch;
  }
}

function markPath({ keyDir, identity }: EpochParts): string {
  return join(keyDir, `${identity.id}.mark`);
}

/** One that does not read counts as none: a mark that is missing holds devices, so nothing is gained by breaking it. */
async function readMark(path: string): Promise<Mark | undefined> {
  const bytes = await readSmallFile(path).catch((failure: unknown) => {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  });
  return bytes === undefined ? undefined : parseMark(bytes);
}

function parseMark(bytes: Uint8Array): Mark | undefined {
  try {
    const fields: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof fields !== "object" || fields === null) return undefined;
    const { epoch, folder } = fields as Readonly<Record<string, unknown>>;
    return typeof epoch === "number" && typeof folder === "string" ? { epoch, folder } : undefined;
  } catch {
    return undefined;
  }
}

async function folderOf({ vaultDir }: HomeLayout): Promise<string> {
  const { ino, birthtimeNs } = await stat(vaultDir, { bigint: true });
  return `${ino}/${birthtimeNs}`;
}
