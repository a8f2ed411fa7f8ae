import type { AuditLog } from "../audit/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { KeysDesk } from "../services/index.ts";
import type { RotationWish, Vault } from "../vault/index.ts";

export interface KeysDeskParts {
  readonly identity: Pick<DeviceIdentity, "id">;
  readonly vault: Vault;
  readonly audit: Pick<AuditLog, "encodeEvent">;
}

/** The vault's keys as its services hand them out. */
export function keysDesk(parts: KeysDeskParts): KeysDesk {
  const { rotation, keys } = parts.vault;
  const wish = rotationWish(parts);
  return {
    slots: () => keys.slots,
    rotate: async (kind, mutation) => await rotation.begin(kind, wish, mutation),
    watch: (signal) => rotation.watch(signal),
    abort: async () => await rotation.abort(wish),
  };
}

/** How the end of a rotation is recorded: it may come long after the call that asked for it. */
export function rotationWish({ identity, audit }: Omit<KeysDeskParts, "vault">): RotationWish {
  return {
    ended: ({ kind, state, done, total }) =>
      audit.encodeEvent({
        ...{ action: "vault:rotate", resource: `gatehouse:${identity.id}`, outcome: "done" },
        detail: { kind, state, done: String(done), total: String(total) },
      }),
  };
}
