import { equalBytes, fromUtf8, GatehouseError, LIMITS, utf8 } from "../core/index.ts";
import {
  type DeviceCertificate,
  type DeviceRow,
  type DeviceSight,
  decodeDevice,
  encodeDevice,
} from "./device-row.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { pages } from "./pages.ts";
import type { Change, Transaction } from "./transaction.ts";

export interface NewDevice
  extends Pick<DeviceRow, "id" | "name" | "identityKey" | "spkiSha256" | "kind" | "platform" | "pairedAt"> {
  readonly role: string;
  readonly certificate: DeviceCertificate;
}

export interface AddOptions {
  /** Id of a device of the same name that this one takes the place of: it is revoked in the same moment. */
  readonly replaces?: string | undefined;
}

export interface RenewedCertificate {
  /** SHA-256 of the certified key's SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
  readonly certificate: DeviceCertificate;
  /** Unix ms. */
  readonly at: number;
}

export interface HoldWish {
  readonly exceptId: string;
  /** Unix ms. */
  readonly at: number;
  readonly epochMin: number;
}

const OWNER = "owner";
/** Rare enough that all device changes take turns: names and the last owner are then checked without a race. */
export const DEVICES_LOCK = "device";
const LOCK = [DEVICES_LOCK];
const EPOCH = "devices/epoch";
/** Good at once: three are usual. */
const CERTIFICATES_MAX = 8;

/** The devices a gatehouse knows; held in memory, so that each handshake can ask without waiting. */
export class Devices {
  readonly #mutations: Mutations;
  readonly #rows = new Map<string, DeviceRow>();

  constructor(mutations: Mutations) {
    this.#mutations = mutations;
    for (const { key, body } of pages(mutations.store, "device"))
      this.#rows.set(key, decodeDevice(key, body));
    mutations.store.subscribe((transaction) => this.#follow(transaction));
  }

  get(id: string): DeviceRow | undefined {
    return this.#rows.get(id);
  }

  /** In order of pairing. */
  list(): readonly DeviceRow[] {
    return [...this.#rows.values()].sort((a, b) => a.pairedAt - b.pairedAt || (a.id < b.id ? -1 : 1));
  }

  /** Counts up with everything that takes a right from a device: a copy that counts less gives it back. */
  get epoch(): number {
    const body = this.#mutations.store.get("setting", EPOCH)?.body;
    return body === undefined ? 0 : Number(fromUtf8(body));
  }

  /** Called after each durable change, with the row as it is now. */
  subscribe(listener: (row: DeviceRow) => void): Disposable {
    return this.#mutations.store.subscribe(({ changes }) => {
      for (const change of changes) {
        if (change.space === "device" && change.kind === "put")
          listener(decodeDevice(change.key, change.body));
      }
    });
  }

  /**
   * Adds a device, or renews what is known of one that joins again with the same identity key.
   * @throws GatehouseError `device.revoked`, `device.key-changed`, `device.name-taken` (by another device),
   * `device.quarantined`, `device.held` (joining again is no way out of either), `device.last-owner` (joining again as
   * less, or in the place of the last owner), `vault.full`.
   */
  async add(
    device: NewDevice,
    mutation: Mutation<DeviceRow>,
    { replaces }: AddOptions = {},
  ): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const replaced = replaces === undefined ? undefined : this.#replaceable(device, replaces);
      this.#checkAddable(device, replaced);
      const { role, certificate, ...fields } = device;
      const known = this.#rows.get(device.id);
      // A revocation list has to name every certificate that is still good.
      const earlier = (known?.certificates ?? []).filter(({ expiresAt }) => expiresAt > device.pairedAt);
      const certificates = [...earlier, certificate].slice(-CERTIFICATES_MAX);
      const row: DeviceRow = {
        ...{ ...fields, roles: [role], certificates, state: "active" },
        // Whose it was before, or whose place it takes: joining again is no way out of belonging to somebody.
        user: known?.user,
        ...{ nextSpkiSha256: undefined, quarantinedAt: undefined, heldAt: undefined, revokedAt: undefined },
        ...{ readmittedUntil: undefined, lastSeen: undefined },
      };
      // Joining again ends what the roles and the key of before allowed.
      const { changes, result } = known === undefined ? stored(row) : this.#lessened(row);
      if (replaced === undefined) return { changes, result };
      const revoked = this.#lessened({ ...replaced, state: "revoked", revokedAt: device.pairedAt });
      return { changes: [...revoked.changes, ...changes], result };
    });
  }

  /** For good. Revoking again answers the row as it is. @throws GatehouseError `device.not-found`, `device.last-owner`. */
  async revoke(id: string, at: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (row.state === "revoked") return unchanged(row);
      this.#checkNotLastOwner(row);
      return this.#lessened({ ...row, state: "revoked", revokedAt: at, readmittedUntil: undefined });
    });
  }

  /**
   * Shuts a device out until it is released. One that is not active stays as it is.
   * @throws GatehouseError `device.not-found`, `device.last-owner`: nobody would be left to release it.
   */
  async quarantine(id: string, at: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (row.state !== "active") return unchanged(row);
      this.#checkNotLastOwner(row);
      return this.#lessened({ ...row, state: "quarantined", quarantinedAt: at });
    });
  }

  /**
   * Shuts every device out but one, until each is released: this gatehouse has been restored from a copy. Answers how many
   * are held; the epoch is above `epochMin` then.
   */
  async holdAll({ exceptId, at, epochMin }: HoldWish, mutation: Mutation<number>): Promise<number> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const held = this.list().filter(
        ({ id, state }) => id !== exceptId && (state === "active" || state === "quarantined"),
      );
      const changes = held.flatMap((row) => {
        const state = row.state === "active" ? ("held" as const) : row.state;
        return stored({ ...row, state, heldAt: at, readmittedUntil: undefined }).changes;
      });
      return { changes: [...changes, this.#nextEpoch(epochMin)], result: held.length };
    });
  }

  /** Ends quarantine and hold. A device that is in neither stays as it is. @throws GatehouseError `device.not-found`. */
  async release(id: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (row.state !== "quarantined" && row.state !== "held") return unchanged(row);
      return stored({ ...row, state: "active", quarantinedAt: undefined, heldAt: undefined });
    });
  }

  /** @throws GatehouseError `device.not-found`, `device.revoked`, `device.name-taken`. */
  async rename(id: string, name: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (row.state === "revoked") throw revoked();
      if (row.name === name) return unchanged(row);
      this.#checkNameFree(name, row.id);
      return stored({ ...row, name });
    });
  }

  /** @throws GatehouseError `device.not-found`, `device.revoked`. */
  async grant(id: string, role: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (row.state === "revoked") throw revoked();
      if (row.roles.includes(role)) return unchanged(row);
      if (row.roles.length >= LIMITS.rolesPerDevice)
        throw new GatehouseError("usage.bad-argument", `a device has at most ${LIMITS.rolesPerDevice} roles`);
      return stored({ ...row, roles: [...row.roles, role].sort() });
    });
  }

  /** @throws GatehouseError `device.not-found`, `device.last-owner`. */
  async ungrant(id: string, role: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (!row.roles.includes(role)) return unchanged(row);
      if (role === OWNER) this.#checkNotLastOwner(row);
      return this.#lessened({ ...row, roles: row.roles.filter((own) => own !== role) });
    });
  }

  /**
   * Says whose it is; `undefined`: nobody's. `checkUser` runs where no user can come or go before the change.
   * @throws GatehouseError `device.not-found`, `device.revoked`; what `checkUser` throws.
   */
  async assign(
    id: string,
    user: string | undefined,
    mutation: Mutation<DeviceRow>,
    checkUser: () => void,
  ): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      if (user !== undefined) checkUser();
      if (row.state === "revoked") throw revoked();
      if (row.user === user) return unchanged(row);
      return row.user === undefined ? stored({ ...row, user }) : this.#lessened({ ...row, user });
    });
  }

  /** What takes all devices from a user, and counts the epoch. */
  withoutUser(user: string): readonly Change[] {
    const owned = [...this.#rows.values()].filter((row) => row.user === user);
    return [...owned.flatMap((row) => stored({ ...row, user: undefined }).changes), this.#nextEpoch()];
  }

  /** Counts the epoch: part of a change that takes a right away without changing a device; under `DEVICES_LOCK`. */
  epochChange(): Change {
    return this.#nextEpoch();
  }

  /** @throws GatehouseError `device.not-found`, `device.revoked`, `device.quarantined`, `device.held`. */
  async readmit(id: string, until: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow> {
    return await this.#change(id, mutation, (row) => {
      checkWelcome(row);
      return stored({ ...row, readmittedUntil: until });
    });
  }

  /**
   * A further certificate. What is pinned, and an open readmission, stay as they are until it is used.
   * @throws GatehouseError `device.not-found`, `device.revoked`, `device.quarantined`, `device.held`, `rpc.overloaded` when
   * it has too many that are good: a revocation list names all of them.
   */
  async renewed<Result>(
    id: string,
    { spkiSha256, certificate, at }: RenewedCertificate,
    mutation: Mutation<Result>,
    answer: (row: DeviceRow) => Result,
  ): Promise<Result> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.#known(id);
      checkWelcome(row);
      const good = row.certificates.filter(({ expiresAt }) => expiresAt > at);
      if (good.length >= CERTIFICATES_MAX) throw renewedTooOften(good[0]?.expiresAt ?? at, at);
      const isSameKey = equalBytes(spkiSha256, row.spkiSha256);
      const nextSpkiSha256 = isSameKey ? row.nextSpkiSha256 : spkiSha256;
      const next = { ...row, certificates: [...good, certificate], nextSpkiSha256 };
      const { changes } = stored(next);
      return { changes, result: answer(next) };
    });
  }

  /**
   * The device came by the key of this hash, with a certificate that is good: a key before it is good no more, and a
   * readmission has served. Nothing is written when there is nothing to change.
   */
  async used(id: string, spkiSha256: Uint8Array, mutation: Mutation<DeviceRow>): Promise<void> {
    const isNews = (row: DeviceRow | undefined): row is DeviceRow =>
      row !== undefined && (isNext(row, spkiSha256) || row.readmittedUntil !== undefined);
    if (!isNews(this.#rows.get(id))) return;
    await this.#change(id, mutation, (row) => {
      if (!isNews(row) || row.state !== "active") return unchanged(row);
      const used = { ...row, readmittedUntil: undefined };
      if (!isNext(row, spkiSha256)) return stored(used);
      // A copy of before would let the old key in again.
      return this.#lessened({ ...used, spkiSha256, nextSpkiSha256: undefined });
    });
  }

  /** Writes down when a device was seen; not audited. */
  async saw(id: string, lastSeen: DeviceSight): Promise<void> {
    await this.#mutations.store.transact(LOCK, () => {
      const row = this.#rows.get(id);
      const changes = row === undefined ? [] : stored({ ...row, lastSeen }).changes;
      return { changes, events: [], result: undefined };
    });
  }

  async #change(
    id: string,
    mutation: Mutation<DeviceRow>,
    plan: (row: DeviceRow) => Planned,
  ): Promise<DeviceRow> {
    return await this.#mutations.run(LOCK, mutation, () => plan(this.#known(id)));
  }

  #known(id: string): DeviceRow {
    const row = this.#rows.get(id);
    if (row === undefined) throw new GatehouseError("device.not-found", "no such device");
    return row;
  }

  #replaceable(device: NewDevice, id: string): DeviceRow {
    const row = this.#known(id);
    if (row.name !== device.name || row.id === device.id || row.state === "revoked") {
      throw new GatehouseError("device.not-found", "the device to replace has changed meanwhile");
    }
    this.#checkNotLastOwner(row);
    return row;
  }

  #checkAddable(device: NewDevice, replaced: DeviceRow | undefined): void {
    const known = this.#rows.get(device.id);
    if (known !== undefined) checkWelcome(known);
    if (known !== undefined && !equalBytes(known.identityKey, device.identityKey)) {
      throw new GatehouseError("device.key-changed", "this device is known with another identity key", {
        hint: "revoke the device, then pair it anew",
      });
    }
    // Joining again takes the window's role: a window for members must not leave the gatehouse without an owner.
    if (known !== undefined && device.role !== OWNER) this.#checkNotLastOwner(known);
    this.#checkNameFree(device.name, device.id, replaced?.id);
    if (known === undefined && this.#rows.size >= LIMITS.devices) {
      throw new GatehouseError("vault.full", `there are ${LIMITS.devices} devices already`);
    }
  }

  #checkNameFree(name: string, ...mayHaveIt: readonly (string | undefined)[]): void {
    const isTaken = [...this.#rows.values()].some(
      (row) => row.state !== "revoked" && row.name === name && !mayHaveIt.includes(row.id),
    );
    if (!isTaken) return;
    throw new GatehouseError("device.name-taken", `another device is called ${name}`, {
      hint: "choose another name, or take that device's place with: gatehouse pair join --replace",
    });
  }

  #checkNotLastOwner(row: DeviceRow): void {
    const isOwner = ({ roles, state }: DeviceRow): boolean => roles.includes(OWNER) && state === "active";
    if (!isOwner(row) || [...this.#rows.values()].filter(isOwner).length > 1) return;
    throw new GatehouseError("device.last-owner", "the last owner cannot be shut out", {
      hint: "pair another owner first",
    });
  }

  #lessened(row: DeviceRow): Planned {
    const { changes, result } = stored(row);
    return { changes: [...changes, this.#nextEpoch()], result };
  }

  #nextEpoch(min = 0): Change {
    const body = utf8(String(Math.max(this.epoch, min) + 1));
    return { kind: "put", space: "setting", key: EPOCH, body };
  }

  #follow({ changes }: Transaction): void {
    for (const change of changes) {
      if (change.space !== "device") continue;
      if (change.kind === "delete") this.#rows.delete(change.key);
      else this.#rows.set(change.key, decodeDevice(change.key, change.body));
    }
  }
}

interface Planned {
  readonly changes: readonly Change[];
  readonly result: DeviceRow;
}

function stored(row: DeviceRow): Planned {
  return { changes: [{ kind: "put", space: "device", key: row.id, body: encodeDevice(row) }], result: row };
}

function unchanged(result: DeviceRow): Planned {
  return { changes: [], result };
}

function isNext({ nextSpkiSha256 }: DeviceRow, spkiSha256: Uint8Array): boolean {
  return nextSpkiSha256 !== undefined && equalBytes(nextSpkiSha256, spkiSha256);
}

function checkWelcome({ state }: DeviceRow): void {
  if (state === "revoked") throw revoked();
  if (state === "active") return;
  const message = state === "held" ? "this device is held since a restore" : "this device is quarantined";
  throw new GatehouseError(`device.${state}`, message, {
    hint: "its owner may let it in again with: gatehouse device release DEVICE",
  });
}

function renewedTooOften(firstExpiresAt: number, at: number): GatehouseError {
  return new GatehouseError(
    "rpc.overloaded",
    `this device has ${CERTIFICATES_MAX} good certificates already`,
    {
      hint: "use the newest of them",
      retryAfterMs: firstExpiresAt - at,
    },
  );
}

function revoked(): GatehouseError {
  return new GatehouseError("device.revoked", "this device was revoked", {
    hint: "a revoked device pairs anew with a new identity",
  });
}
