import { setImmediate } from "node:timers/promises";
import type { AuditFields } from "../audit/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { VersionName } from "../vault/index.ts";
import type { Storage } from "./storage.ts";

export interface SecretExpiryParts {
  readonly identity: Pick<DeviceIdentity, "id">;
  readonly vault: { readonly secrets: Pick<Storage["vault"]["secrets"], "sweepExpired" | "completeErasure"> };
  readonly audit: Pick<Storage["audit"], "encodeEvent">;
}

const SWEPT_AT_ONCE = 64;

/** Destroys secrets whose time is up, and what a crash left of any destruction. */
export class SecretExpiry {
  readonly #parts: SecretExpiryParts;

  constructor(parts: SecretExpiryParts) {
    this.#parts = parts;
  }

  /** @throws GatehouseError `vault.read-only`, `vault.not-erased`; it goes on the next time */
  async look(): Promise<void> {
    const { secrets } = this.#parts.vault;
    for (let isMore = true; isMore; ) {
      const audit = ({ swept }: { readonly swept: readonly VersionName[] }) => this.#event(swept);
      ({ isMore } = await secrets.sweepExpired(SWEPT_AT_ONCE, { audit }));
      await setImmediate();
    }
    await secrets.completeErasure();
  }

  #event(swept: readonly VersionName[]): Uint8Array {
    const { identity, audit } = this.#parts;
    const fields: AuditFields = {
      ...{ action: "secret:destroy", resource: `gatehouse:${identity.id}`, outcome: "done" },
      detail: {
        reason: "expired",
        versions: swept.map(({ path, version }) => `${path}@${version}`).join(" "),
      },
    };
    return audit.encodeEvent(fields);
  }
}
