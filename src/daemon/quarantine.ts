import type { AuditFields } from "../audit/index.ts";
import { type Clock, isGatehouseError, LIMITS, type Logger } from "../core/index.ts";
import type { DeviceId } from "../identity/index.ts";
import type { DeviceRow, Devices, Mutation } from "../vault/index.ts";
import { type CheckedNote, forgetNotesOf, readNotes } from "./quarantine-notes.ts";

export interface QuarantineParts {
  /** Where the watchdog leaves its notes. */
  readonly notesFile: string;
  readonly devices: Devices;
  readonly audit: { encodeEvent(fields: AuditFields): Uint8Array };
  /** The gatehouse's own identity is its command line's: it is reported, never shut out. */
  readonly gatehouseId: DeviceId;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Shuts out devices that froze the door more than once. The vault's device row says who is shut out; the watchdog's
 * notes are what it is decided from, and stay until the device is released, so that no crash between the two loses it.
 */
export class Quarantine {
  readonly #parts: QuarantineParts;

  private constructor(parts: QuarantineParts) {
    this.#parts = parts;
  }

  /**
   * Reads the notes, tells the operator, and quarantines whom it has to before anybody is let in.
   * @throws vault.read-only and others of the vault: a device that must be shut out could not be.
   */
  static async open(parts: QuarantineParts): Promise<Quarantine> {
    const quarantine = new Quarantine(parts);
    const notes = await readNotes(parts.notesFile, parts.logger);
    for (const device of new Set(notes.map((note) => note.device))) {
      await quarantine.#weigh(
        device,
        notes.filter((note) => note.device === device),
      );
    }
    return quarantine;
  }

  /** Lets a device in again; its notes go first, or the next start would shut it out again. @throws device.not-found, file.io */
  async release(id: DeviceId, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    const { devices, notesFile, logger } = this.#parts;
    if (devices.get(id)?.state === "quarantined") await forgetNotesOf(id, notesFile, logger);
    return await devices.release(id, mutation);
  }

  async #weigh(device: DeviceId | undefined, notes: readonly CheckedNote[]): Promise<void> {
    const { logger, gatehouseId } = this.#parts;
    const freezes = notes.length;
    logger.warn("door-was-frozen", {
      device: device ?? "nobody",
      freezes,
      lastAt: Math.max(...notes.map(({ at }) => at)),
    });
    if (device === undefined || device === gatehouseId) return;
    if (freezes >= LIMITS.freezesBeforeQuarantine) await this.#shutOut(device, freezes);
  }

  async #shutOut(device: DeviceId, freezes: number): Promise<void> {
    const { devices, audit, clock, logger } = this.#parts;
    if (devices.get(device)?.state !== "active") return;
    const event: AuditFields = {
      action: "device:quarantine",
      resource: `device:${device}`,
      outcome: "done",
      detail: { freezes: String(freezes) },
    };
    try {
      await devices.quarantine(device, clock.now(), { audit: () => audit.encodeEvent(event) });
      logger.warn("device-quarantined", { device, freezes });
    } catch (failure) {
      if (!isGatehouseError(failure, "device.last-owner")) throw failure;
      logger.error("device-not-quarantined", { device, freezes, reason: "it is the last owner" });
    }
  }
}
