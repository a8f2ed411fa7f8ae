/** A gatehouse that was off for weeks has let its devices' certificates run out: they may renew them when it is back. */
import type { AuditFields } from "../audit/index.ts";
import { type Clock, fromUtf8, LIMITS, type Logger, utf8 } from "../core/index.ts";
import { newestCertificate, type Vault } from "../vault/index.ts";

const KEY = "daemon/last-alive";
const NOTE_MS = 3_600_000;
/** Off for less, a device has had its chance: it renews at half of a certificate's life. */
const ABSENCE_MS_MIN = 86_400_000;

export interface PresenceParts {
  readonly vault: Vault;
  readonly audit: { encodeEvent(fields: AuditFields): Uint8Array };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Notes that the gatehouse is there, and notices when it was not: switched off, or its machine asleep. */
export class Presence implements AsyncDisposable {
  readonly #parts: PresenceParts;
  #lookedAt: number;
  #notedAt: number;

  private constructor(parts: PresenceParts, lastAlive: number) {
    this.#parts = parts;
    this.#lookedAt = lastAlive;
    this.#notedAt = lastAlive;
  }

  /** Looks once, so that whoever is readmitted is so before the door opens. */
  static async begin(parts: PresenceParts): Promise<Presence> {
    const noted = parts.vault.settings.get(KEY);
    const presence = new Presence(parts, noted === undefined ? parts.clock.now() : Number(fromUtf8(noted)));
    await presence.look();
    return presence;
  }

  /** After an absence readmits those whose certificates ran out in it, or are about to: audited, for seven days. */
  async look(): Promise<void> {
    const now = this.#parts.clock.now();
    const lastAlive = this.#lookedAt;
    this.#lookedAt = now;
    if (now - lastAlive >= ABSENCE_MS_MIN) await this.#readmit(lastAlive, now);
    if (Math.abs(now - this.#notedAt) >= NOTE_MS || lastAlive === now) await this.#note(now);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#note(this.#parts.clock.now());
  }

  async #readmit(lastAlive: number, now: number): Promise<void> {
    const { vault, audit, logger } = this.#parts;
    const until = now + LIMITS.readmissionMaxMs;
    for (const row of vault.devices.list()) {
      const { expiresAt } = newestCertificate(row);
      if (row.state !== "active" || expiresAt <= lastAlive || expiresAt > until) continue;
      const event: AuditFields = {
        ...{ action: "device:readmit", resource: `device:${row.id}`, outcome: "done" },
        detail: { reason: "the gatehouse was off", until: new Date(until).toISOString() },
      };
      await vault.devices.readmit(row.id, until, { audit: () => audit.encodeEvent(event) });
      logger.info("device-readmitted", { device: row.id, until });
    }
  }

  /** What cannot be written now is written later: a vault that takes no writes says so elsewhere. */
  async #note(now: number): Promise<void> {
    const { vault, logger } = this.#parts;
    this.#notedAt = now;
    try {
      await vault.settings.set(KEY, utf8(String(now)));
    } catch (failure) {
      logger.debug("presence-not-noted", { error: failure instanceof Error ? failure.message : "unknown" });
    }
  }
}
