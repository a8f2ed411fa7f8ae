import { inspectLeaf } from "../certs/index.ts";
import { type Clock, equalBytes, GatehouseError, LIMITS, type UnixMs, utf8 } from "../core/index.ts";
import { type DeviceId, parseDeviceId } from "../identity/index.ts";
import type { DeviceRow, DeviceStore } from "./device-store.ts";

const PREFIX_CHARACTERS_MIN = 8;
const OWNER = "owner";

export interface DeviceRegistryOptions {
  readonly store: DeviceStore;
  readonly gatehouseId: DeviceId;
  /** DER of the authorities whose leaves are admitted, newest first. */
  readonly caCertificates: () => readonly Uint8Array[];
  readonly clock: Clock;
}

/** A device to be, proven by pairing and certified. */
export type Enrollment = Omit<DeviceRow, "state" | "pairedAt" | "revokedAt">;

export type RevocationListener = (device: DeviceRow) => void;

/** The devices of a gatehouse: who is known, by which keys, and who is not welcome any more. */
export class DeviceRegistry {
  readonly #options: DeviceRegistryOptions;
  readonly #rows = new Map<DeviceId, DeviceRow>();
  readonly #lastSeen = new Map<DeviceId, UnixMs>();
  readonly #listeners = new Set<RevocationListener>();
  /** One mutation at a time: each judges names and owners by what the one before left. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DeviceRegistryOptions) {
    this.#options = options;
    for (const row of options.store.list()) this.#rows.set(row.id, row);
  }

  get activeCount(): number {
    return [...this.#rows.values()].filter(({ state }) => state === "active").length;
  }

  get(id: DeviceId): DeviceRow | undefined {
    return this.#rows.get(id);
  }

  /** In the order of their pairing, then of their ids. */
  list(): readonly DeviceRow[] {
    return [...this.#rows.values()].sort((a, b) => a.pairedAt - b.pairedAt || (a.id < b.id ? -1 : 1));
  }

  /** When the device last opened a connection since this process started. */
  lastSeenAt(id: DeviceId): UnixMs | undefined {
    return this.#lastSeen.get(id);
  }

  isActive(id: DeviceId): boolean {
    return this.#rows.get(id)?.state === "active";
  }

  /**
   * Finds a device by id in any spelling, by an id's first 8 characters or more, or by name.
   * @throws device.not-found, device.ambiguous
   */
  find(text: string): DeviceRow {
    const matches = this.#matches(text);
    const [first] = matches;
    if (first === undefined) {
      throw new GatehouseError("device.not-found", "no such device", { hint: "list them with: gatehouse device ls" });
    }
    if (matches.length > 1) {
      throw new GatehouseError("device.ambiguous", `${matches.length} devices match`, {
        hint: "name the device by its whole id",
      });
    }
    return first;
  }

  /**
   * Judges a client's certificate chain (DER, leaf first), resumed connections included: chain to our authority,
   * dates, profile, and the keys and state on record. Synchronous: it runs inside the handshake.
   * @throws certificate.*, device.unknown, device.revoked, device.key-changed
   */
  admit(chain: readonly Uint8Array[]): DeviceRow {
    const { gatehouseId, clock } = this.#options;
    const now = clock.now();
    const caCertificates = this.#options.caCertificates();
    const leaf = inspectLeaf(chain, { caCertificates, gatehouseId, usage: "device", now });
    const row = this.#rows.get(leaf.deviceId);
    if (row === undefined) throw new GatehouseError("device.unknown", "this gatehouse does not know this device");
    if (row.state === "revoked") throw revoked();
    if (!equalBytes(row.spkiSha256, leaf.spkiSha256)) throw keyChanged();
    this.#lastSeen.set(row.id, now);
    return row;
  }

  /**
   * Adds a device, or renews the certificate of one that is known by these very keys.
   * @throws device.key-changed, device.revoked, device.name-taken, quic.limit
   */
  enroll(enrollment: Enrollment, audit: Uint8Array): Promise<DeviceRow> {
    return this.#serially(async () => {
      const known = this.#checkEnrollment(enrollment);
      const row: DeviceRow = {
        ...enrollment,
        state: "active",
        pairedAt: known?.pairedAt ?? this.#options.clock.now(),
        revokedAt: undefined,
      };
      await this.#options.store.put(row, audit);
      this.#rows.set(row.id, row);
      return row;
    });
  }

  /**
   * Ends a device for good: on disk and audited first, then told to the listeners. Again is the same as once.
   * @throws device.not-found, device.last-owner
   */
  revoke(id: DeviceId, audit: Uint8Array): Promise<DeviceRow> {
    return this.#serially(async () => {
      const row = this.#rows.get(id);
      if (row === undefined) throw new GatehouseError("device.not-found", "no such device");
      if (row.state === "revoked") return row;
      this.#checkNotLastOwner(row);
      const gone: DeviceRow = { ...row, state: "revoked", revokedAt: this.#options.clock.now() };
      await this.#options.store.put(gone, audit);
      this.#rows.set(id, gone);
      for (const tell of this.#listeners) tell(gone);
      return gone;
    });
  }

  onRevoked(listener: RevocationListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #matches(text: string): readonly DeviceRow[] {
    const rows = this.list();
    const named = rows.filter(({ name }) => name === text);
    const active = named.filter(({ state }) => state === "active");
    if (active.length > 0) return active;
    if (named.length > 0) return named;
    const id = parsedId(text);
    if (id !== undefined) return rows.filter((row) => row.id === id);
    const prefix = text.toLowerCase().replace(/[\s-]/g, "");
    return prefix.length < PREFIX_CHARACTERS_MIN ? [] : rows.filter((row) => row.id.startsWith(prefix));
  }

  #checkEnrollment({ id, name, identityKey, spkiSha256 }: Enrollment): DeviceRow | undefined {
    const known = this.#rows.get(id);
    if (known?.state === "revoked") throw revoked();
    if (known !== undefined && !(equalBytes(known.identityKey, identityKey) && equalBytes(known.spkiSha256, spkiSha256))) {
      throw keyChanged();
    }
    if (known === undefined && this.#rows.size >= LIMITS.devices) {
      throw new GatehouseError("quic.limit", `this gatehouse knows ${LIMITS.devices} devices already`);
    }
    const length = utf8(name).length;
    if (length < 1 || length > LIMITS.deviceNameBytes) {
      throw new GatehouseError("usage.bad-argument", `a device's name has 1 to ${LIMITS.deviceNameBytes} bytes`);
    }
    const namesake = [...this.#rows.values()].find((row) => row.name === name && row.state === "active");
    if (namesake !== undefined && namesake.id !== id) {
      throw new GatehouseError("device.name-taken", "another device has this name", {
        hint: "choose another one with --name, or revoke the other device first",
      });
    }
    return known;
  }

  #checkNotLastOwner({ id, role }: DeviceRow): void {
    if (role !== OWNER) return;
    const others = [...this.#rows.values()].filter((row) => row.role === OWNER && row.state === "active" && row.id !== id);
    if (others.length > 0) return;
    throw new GatehouseError("device.last-owner", "the last owner cannot be revoked", {
      hint: "pair another device with --role owner first",
    });
  }

  #serially<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function parsedId(text: string): DeviceId | undefined {
  try {
    return parseDeviceId(text);
  } catch {
    return undefined;
  }
}

function revoked(): GatehouseError<"device.revoked"> {
  return new GatehouseError("device.revoked", "this device was revoked", {
    hint: "revocation is final: the device can come back only with a new identity, from an empty home",
  });
}

function keyChanged(): GatehouseError<"device.key-changed"> {
  return new GatehouseError("device.key-changed", "this gatehouse knows this device by another key", {
    hint: "revoke the device and pair it anew from an empty home",
  });
}
