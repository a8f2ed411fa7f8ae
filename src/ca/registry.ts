import { inspectLeaf, type LeafFacts } from "../certs/index.ts";
import { type Clock, equalBytes, GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import { type DeviceId, foldDeviceId, parseDeviceId } from "../identity/index.ts";
import type { DeviceRow, DeviceSight, DeviceStore } from "./device-store.ts";

const PREFIX_CHARACTERS_MIN = 8;
/** A sight is written down so often at most. */
const SIGHT_GRAIN_MS = 900_000;

export interface DeviceRegistryOptions<Row extends DeviceRow> {
  readonly store: DeviceStore<Row>;
  readonly gatehouseId: DeviceId;
  /** DER of the authorities whose leaves are admitted, newest first. Asked at each admission. */
  readonly caCertificates: () => readonly Uint8Array[];
  /** Those and retired ones: what a device that is readmitted may hold a certificate of. */
  readonly everyCaCertificate: () => readonly Uint8Array[];
  readonly clock: Clock;
}

/**
 * A device that is let in. `renewal`: for `Device/Renew` alone, its certificate has run out. `next`: by the key that its
 * last renewal certified, for the first time.
 */
export interface AdmittedDevice<Row> {
  readonly id: DeviceId;
  readonly row: Row;
  readonly access: "full" | "renewal";
  readonly key: "current" | "next";
  readonly spkiSha256: Uint8Array;
}

/** The devices of a gatehouse: who is known, by which keys, and who is not welcome any more. */
export class DeviceRegistry<Row extends DeviceRow> {
  readonly #options: DeviceRegistryOptions<Row>;
  readonly #lastSeen = new Map<string, DeviceSight>();

  constructor(options: DeviceRegistryOptions<Row>) {
    this.#options = options;
  }

  /** In order of pairing, revoked ones included. */
  list(): readonly Row[] {
    return this.#options.store.list();
  }

  countOf(state: Row["state"]): number {
    return this.list().filter((row) => row.state === state).length;
  }

  /** Whether some device may come in with an expired certificate now. */
  get isReadmitting(): boolean {
    return this.list().some((row) => this.#isReadmitted(row));
  }

  /** Whether this one may. */
  isReadmitted(id: string): boolean {
    const row = this.#options.store.get(id);
    return row !== undefined && this.#isReadmitted(row);
  }

  get(id: DeviceId): Row | undefined {
    return this.#options.store.get(id);
  }

  /** How the device last opened a connection. */
  lastSeen(id: string): DeviceSight | undefined {
    return this.#lastSeen.get(id) ?? this.#options.store.get(id)?.lastSeen;
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
   * @throws certificate.*, device.unknown, device.revoked, device.key-changed, device.quarantined, device.held
   */
  admit(chain: readonly Uint8Array[]): AdmittedDevice<Row> {
    const { gatehouseId, clock, caCertificates } = this.#options;
    const now = clock.now();
    let leaf: LeafFacts;
    try {
      leaf = inspectLeaf(chain, { caCertificates: caCertificates(), gatehouseId, usage: "device", now });
    } catch (failure) {
      const readmitted = this.#readmitted(chain, failure);
      if (readmitted === undefined) throw failure;
      return readmitted;
    }
    return { ...this.#welcome(leaf), access: "full" };
  }

  /** The device has shown that it is here, now. Answers whether that is worth writing down. */
  seen(id: DeviceId, sight: Omit<DeviceSight, "at">): DeviceSight | undefined {
    const now = { at: this.#options.clock.now(), ...sight };
    const written = this.#options.store.get(id)?.lastSeen?.at ?? 0;
    this.#lastSeen.set(id, now);
    return now.at - written >= SIGHT_GRAIN_MS ? now : undefined;
  }

  /** `listener` hears of each change of a device right after it is on disk. */
  onChange(listener: (row: Row) => void): Disposable {
    return this.#options.store.subscribe(listener);
  }

  #welcome({ deviceId: id, spkiSha256 }: LeafFacts): Omit<AdmittedDevice<Row>, "access"> {
    const row = this.#options.store.get(id);
    if (row === undefined)
      throw new GatehouseError("device.unknown", "this gatehouse does not know this device");
    if (row.state === "revoked") throw revoked(row);
    const key = keyOf(row, spkiSha256);
    if (key === undefined) {
      throw new GatehouseError("device.key-changed", "this gatehouse knows this device by another key");
    }
    if (row.state !== "active") throw shutOut(row.state);
    return { id, row, key, spkiSha256 };
  }

  /** One whose certificate has run out, or is of an authority that has been left behind, and whom the owner expects. */
  #readmitted(chain: readonly Uint8Array[], failure: unknown): AdmittedDevice<Row> | undefined {
    const isLate =
      isGatehouseError(failure, "certificate.expired") || isGatehouseError(failure, "certificate.untrusted");
    if (!isLate || !this.isReadmitting) return undefined;
    const { gatehouseId, clock, everyCaCertificate } = this.#options;
    const authorities = { caCertificates: everyCaCertificate(), gatehouseId };
    try {
      const leaf = inspectLeaf(chain, {
        ...authorities,
        ...{ usage: "device", now: clock.now(), dates: "ignored" },
      });
      const welcome = this.#welcome(leaf);
      return this.#isReadmitted(welcome.row) ? { ...welcome, access: "renewal" } : undefined;
    } catch {
      // The first failure says what is wrong.
      return undefined;
    }
  }

  /** One that lasts longer than any may was given by a clock that was wrong. */
  #isReadmitted({ state, readmittedUntil = 0 }: Row): boolean {
    const leftMs = readmittedUntil - this.#options.clock.now();
    return state === "active" && leftMs > 0 && leftMs <= LIMITS.readmissionMaxMs;
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

function keyOf(
  { spkiSha256, nextSpkiSha256 }: DeviceRow,
  shown: Uint8Array,
): AdmittedDevice<DeviceRow>["key"] | undefined {
  if (equalBytes(spkiSha256, shown)) return "current";
  return nextSpkiSha256 !== undefined && equalBytes(nextSpkiSha256, shown) ? "next" : undefined;
}

function shutOut(state: "quarantined" | "held"): GatehouseError {
  return state === "held"
    ? new GatehouseError("device.held", "this gatehouse was restored from a copy and holds this device")
    : new GatehouseError("device.quarantined", "this device froze the gatehouse and is shut out for now");
}

function revoked({ revokedAt = 0 }: DeviceRow): GatehouseError<"device.revoked"> {
  const day = new Date(revokedAt).toISOString().slice(0, 10);
  return new GatehouseError("device.revoked", `this device was revoked on ${day}`);
}
