import { inspectLeaf } from "../certs/index.ts";
import { type Clock, equalBytes, GatehouseError, type UnixMs } from "../core/index.ts";
import { type DeviceId, foldDeviceId, parseDeviceId } from "../identity/index.ts";
import type { DeviceRow, DeviceStore } from "./device-store.ts";

const PREFIX_CHARACTERS_MIN = 8;

export interface DeviceRegistryOptions<Row extends DeviceRow> {
  readonly store: DeviceStore<Row>;
  readonly gatehouseId: DeviceId;
  /** DER of the authorities whose leaves are admitted, newest first. Asked at each admission. */
  readonly caCertificates: () => readonly Uint8Array[];
  readonly clock: Clock;
}

/** The devices of a gatehouse: who is known, by which keys, and who is not welcome any more. */
export class DeviceRegistry<Row extends DeviceRow> {
  readonly #options: DeviceRegistryOptions<Row>;
  readonly #lastSeen = new Map<string, UnixMs>();

  constructor(options: DeviceRegistryOptions<Row>) {
    this.#options = options;
  }

  /** In order of pairing, revoked ones included. */
  list(): readonly Row[] {
    return this.#options.store.list();
  }

  get activeCount(): number {
    return this.list().filter(({ state }) => state === "active").length;
  }

  get quarantinedCount(): number {
    return this.list().filter(({ state }) => state === "quarantined").length;
  }

  get(id: DeviceId): Row | undefined {
    return this.#options.store.get(id);
  }

  /** When the device last opened a connection since this process started. */
  lastSeenAt(id: string): UnixMs | undefined {
    return this.#lastSeen.get(id);
  }

  /**
   * Finds a device by id in any spelling, by an id's first 8 characters or more, or by name.
   * @throws device.not-found, device.ambiguous
   */
  find(text: string): Row {
    const matches = this.#matches(text);
    const [first] = matches;
    if (first === undefined) {
      throw new GatehouseError("device.not-found", "no such device", {
        hint: "list them with: gatehouse device ls",
      });
    }
    if (matches.length > 1) {
      throw new GatehouseError("device.ambiguous", `${matches.length} devices match`, {
        hint: "name the device by its whole id",
      });
    }
    return first;
  }

  /**
   * Judges a client's certificate chain (DER, leaf first), on resumed connections too: chain to our authority, dates,
   * profile, and the key and state on record. Synchronous: it runs inside the handshake.
   * @throws certificate.*, device.unknown, device.revoked, device.key-changed, device.quarantined
   */
  admit(chain: readonly Uint8Array[]): { readonly id: DeviceId; readonly row: Row } {
    const { store, gatehouseId, clock } = this.#options;
    const now = clock.now();
    const caCertificates = this.#options.caCertificates();
    const leaf = inspectLeaf(chain, { caCertificates, gatehouseId, usage: "device", now });
    const row = store.get(leaf.deviceId);
    if (row === undefined)
      throw new GatehouseError("device.unknown", "this gatehouse does not know this device");
    if (row.state === "revoked") throw revoked(row);
    if (!equalBytes(row.spkiSha256, leaf.spkiSha256)) {
      throw new GatehouseError("device.key-changed", "this gatehouse knows this device by another key");
    }
    if (row.state === "quarantined") {
      throw new GatehouseError(
        "device.quarantined",
        "this device froze the gatehouse and is shut out for now",
      );
    }
    return { id: leaf.deviceId, row };
  }

  /** The device has shown that it is here, now. */
  seen(id: DeviceId): void {
    this.#lastSeen.set(id, this.#options.clock.now());
  }

  /** `listener` hears of each revocation right after it is on disk. */
  onRevoked(listener: (row: Row) => void): Disposable {
    return this.#options.store.subscribe((row) => {
      if (row.state === "revoked") listener(row);
    });
  }

  /**
   * A whole id says all. Devices choose their names, and one may choose the short id of another: a name and a prefix
   * that mean different devices are both matches, so that nobody is revoked in another's place.
   */
  #matches(text: string): readonly Row[] {
    const rows = this.list();
    const id = parsedId(text);
    if (id !== undefined) return rows.filter((row) => row.id === id);
    const named = rows.filter(({ name }) => name === text);
    const welcome = named.filter(({ state }) => state !== "revoked");
    const prefix = foldDeviceId(text);
    const prefixed =
      prefix.length < PREFIX_CHARACTERS_MIN ? [] : rows.filter((row) => row.id.startsWith(prefix));
    // A name becomes free again when its device is revoked.
    return [...new Set([...(welcome.length > 0 ? welcome : named), ...prefixed])];
  }
}

function parsedId(text: string): DeviceId | undefined {
  try {
    return parseDeviceId(text);
  } catch {
    return undefined;
  }
}

function revoked({ revokedAt = 0 }: DeviceRow): GatehouseError<"device.revoked"> {
  const day = new Date(revokedAt).toISOString().slice(0, 10);
  return new GatehouseError("device.revoked", `this device was revoked on ${day}`);
}
