/** A gatehouse that was off for weeks has let its devices' certificates run out: they may renew them when it is back. */
import type { AuditFields } from "../audit/index.ts";
import { type Clock, fromUtf8, LIMITS, type Logger, utf8 } from "../core/index.ts";
import { newestCertificate, type Vault } from "../vault/index.ts";

const KEY = "daemon/last-alive";
const NOTE_MS = 3_600_000;
/** Off for less, a device has had its chance: it renews at half of a certificate's life. */
const ABSENCE_MS_MIN = 86_400_000;

export interface AbsenceParts {
  readonly vault: Vault;
  readonly audit: { encodeEvent(fields: AuditFields): Uint8Array };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Notes every hour that the gatehouse is there, until disposed. */
export class Presence implements AsyncDisposable {
  readonly #parts: AbsenceParts;
  #timer: Disposable | undefined;

  private constructor(parts: AbsenceParts) {
    this.#parts = parts;
  }

  /** Readmits those whose certificates ran out meanwhile, or are about to: audited, for seven days. */
  static async begin(parts: AbsenceParts): Promise<Presence> {
    await readmitAll(parts);
    const presence = new Presence(parts);
    await presence.#note();
    return presence;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#write();
  }

  async #note(): Promise<void> {
    await this.#write();
    this.#timer = this.#parts.clock.setTimer(NOTE_MS, () => void this.#note());
  }

  /** What cannot be written now is written in an hour: a vault that takes no writes says so elsewhere. */
  async #write(): Promise<void> {
    const { vault, clock, logger } = this.#parts;
    try {
      await vault.settings.set(KEY, utf8(String(clock.now())));
    } catch (failure) {
      logger.debug("presence-not-noted", { error: failure instanceof Error ? failure.message : "unknown" });
    }
  }
}

async function readmitAll({ vault, audit, clock, logger }: AbsenceParts): Promise<void> {
  const now = clock.now();
  const lastAlive = Number(fromUtf8(vault.settings.get(KEY) ?? utf8(String(now))));
  if (!(now - lastAlive >= ABSENCE_MS_MIN)) return;
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
