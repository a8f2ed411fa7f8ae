import { equalBytes, GatehouseError, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { pages } from "./pages.ts";
import type { Change, Transaction } from "./transaction.ts";

const { StoredDevice } = gatehouse.v1;

/** A paired device as the vault remembers it. Times in Unix ms. */
export interface DeviceRow {
  /** Canonical device id. */
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** 32 bytes, pinned for good. */
  readonly identityKey: Uint8Array;
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
  readonly state: "active" | "quarantined" | "revoked";
  readonly pairedAt: number;
  readonly quarantinedAt: number | undefined;
  readonly revokedAt: number | undefined;
  readonly certificateExpiresAt: number;
  /** Lower-case hex. */
  readonly certificateSerial: string;
  readonly kind: string;
  readonly platform: string;
}

export type NewDevice = Omit<DeviceRow, "state" | "quarantinedAt" | "revokedAt">;
export type DeviceCertificate = Pick<DeviceRow, "spkiSha256" | "certificateExpiresAt" | "certificateSerial">;

const OWNER = "owner";
/** Rare enough that all device changes take turns: names and the last owner are then checked without a race. */
const LOCK = ["device"];

/** The devices a gatehouse knows; held in memory, so that each handshake can ask without waiting. */
export class Devices {
  readonly #mutations: Mutations;
  readonly #rows = new Map<string, DeviceRow>();

  constructor(mutations: Mutations) {
    this.#mutations = mutations;
    for (const { key, body } of pages(mutations.store, "device")) this.#rows.set(key, decode(key, body));
    mutations.store.subscribe((transaction) => this.#follow(transaction));
  }

  get(id: string): DeviceRow | undefined {
    return this.#rows.get(id);
  }

  /** In order of pairing. */
  list(): readonly DeviceRow[] {
    return [...this.#rows.values()].sort((a, b) => a.pairedAt - b.pairedAt || (a.id < b.id ? -1 : 1));
  }

  /** Called after each durable change, with the row as it is now. */
  subscribe(listener: (row: DeviceRow) => void): Disposable {
    return this.#mutations.store.subscribe(({ changes }) => {
      for (const change of changes) {
        if (change.space === "device" && change.kind === "put") listener(decode(change.key, change.body));
      }
    });
  }

  /**
   * Adds a device, or renews what is known of one that joins again with the same identity key.
   * @throws GatehouseError `device.revoked`, `device.key-changed`, `device.name-taken` (by another active device),
   * `device.quarantined` (joining again is no way out of it), `device.last-owner` (joining again as less), `vault.full`.
   */
  async add(device: NewDevice, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      this.#checkAddable(device);
      return stored({ ...device, state: "active", quarantinedAt: undefined, revokedAt: undefined });
    });
  }

  /** For good. Revoking again answers the row as it is. @throws GatehouseError `device.not-found`, `device.last-owner`. */
  async revoke(id: string, at: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.#known(id);
      if (row.state === "revoked") return { changes: [], result: row };
      this.#checkNotLastOwner(row);
      return stored({ ...row, state: "revoked", revokedAt: at });
    });
  }

  /**
   * Shuts a device out until it is released. One that is not active stays as it is.
   * @throws GatehouseError `device.not-found`, `device.last-owner`: nobody would be left to release it.
   */
  async quarantine(id: string, at: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.#known(id);
      if (row.state !== "active") return { changes: [], result: row };
      this.#checkNotLastOwner(row);
      return stored({ ...row, state: "quarantined", quarantinedAt: at });
    });
  }

  /** Ends a quarantine. A device that is in none stays as it is. @throws GatehouseError `device.not-found`. */
  async release(id: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.#known(id);
      if (row.state !== "quarantined") return { changes: [], result: row };
      return stored({ ...row, state: "active", quarantinedAt: undefined });
    });
  }

  /** @throws GatehouseError `device.not-found`, `device.revoked`. */
  async updateCertificate(
    id: string,
    certificate: DeviceCertificate,
    mutation: Mutation<DeviceRow>,
  ): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.#known(id);
      if (row.state === "revoked") throw revoked();
      return stored({ ...row, ...certificate });
    });
  }

  #known(id: string): DeviceRow {
    const row = this.#rows.get(id);
    if (row === undefined) throw new GatehouseError("device.not-found", "no such device");
    return row;
  }

  #checkAddable(device: NewDevice): void {
    const known = this.#rows.get(device.id);
    if (known?.state === "revoked") throw revoked();
    if (known?.state === "quarantined") {
      throw new GatehouseError("device.quarantined", "this device is quarantined", {
        hint: "its owner may let it in again with: gatehouse device release DEVICE",
      });
    }
    if (known !== undefined && !equalBytes(known.identityKey, device.identityKey)) {
      throw new GatehouseError("device.key-changed", "this device is known with another identity key", {
        hint: "revoke the device, then pair it anew",
      });
    }
    // Joining again takes the window's role: a window for members must not leave the gatehouse without an owner.
    if (known !== undefined && device.role !== OWNER) this.#checkNotLastOwner(known);
    const welcome = [...this.#rows.values()].filter(({ state }) => state !== "revoked");
    if (welcome.some(({ id, name }) => name === device.name && id !== device.id)) {
      throw new GatehouseError("device.name-taken", `another device is called ${device.name}`, {
        hint: "choose another name, or revoke the device that has it",
      });
    }
    if (known === undefined && this.#rows.size >= LIMITS.devices) {
      throw new GatehouseError("vault.full", `there are ${LIMITS.devices} devices already`);
    }
  }

  #checkNotLastOwner(row: DeviceRow): void {
    if (row.role !== OWNER || row.state !== "active") return;
    const owners = [...this.#rows.values()].filter(({ role, state }) => role === OWNER && state === "active");
    if (owners.length <= 1) {
      throw new GatehouseError("device.last-owner", "the last owner cannot be shut out", {
        hint: "pair another owner first",
      });
    }
  }

  #follow({ changes }: Transaction): void {
    for (const change of changes) {
      if (change.space !== "device") continue;
      if (change.kind === "delete") this.#rows.delete(change.key);
      else this.#rows.set(change.key, decode(change.key, change.body));
    }
  }
}

function stored(row: DeviceRow): { readonly changes: readonly Change[]; readonly result: DeviceRow } {
  const { id, quarantinedAt = 0, revokedAt = 0, state: _state, ...rest } = row;
  const body = StoredDevice.encode({ ...rest, quarantinedAt, revokedAt }).finish();
  return { changes: [{ kind: "put", space: "device", key: id, body }], result: row };
}

function decode(id: string, body: Uint8Array): DeviceRow {
  const device = StoredDevice.decode(body);
  return {
    id,
    name: device.name,
    role: device.role,
    identityKey: device.identityKey,
    spkiSha256: device.spkiSha256,
    state: stateOf(device),
    pairedAt: device.pairedAt,
    quarantinedAt: device.quarantinedAt === 0 ? undefined : device.quarantinedAt,
    revokedAt: device.revokedAt === 0 ? undefined : device.revokedAt,
    certificateExpiresAt: device.certificateExpiresAt,
    certificateSerial: device.certificateSerial,
    kind: device.kind,
    platform: device.platform,
  };
}

function stateOf({
  quarantinedAt,
  revokedAt,
}: {
  quarantinedAt: number;
  revokedAt: number;
}): DeviceRow["state"] {
  if (revokedAt !== 0) return "revoked";
  return quarantinedAt === 0 ? "active" : "quarantined";
}

function revoked(): GatehouseError<"device.revoked"> {
  return new GatehouseError("device.revoked", "this device was revoked", {
    hint: "a revoked device pairs anew with a new identity",
  });
}
