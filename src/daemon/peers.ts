import { equalBytes, GatehouseError, LIMITS } from "../core/index.ts";
import type { DeviceId } from "../identity/index.ts";
import type { CloseCause } from "../quic/index.ts";
import type { DoorConnection } from "./door-connection.ts";

/** Live connections by device: to bound them, and to end them when the device is revoked. */
export class Peers {
  readonly #connections = new Map<DeviceId, Set<DoorConnection>>();
  /** SHA-256 of the key that each came in with. */
  readonly #keys = new WeakMap<DoorConnection, Uint8Array>();

  /**
   * Early ones do not count: whoever overheard a first flight could fill the places with copies of it.
   * @throws quic.limit when the device has all it may have.
   */
  check(id: DeviceId): void {
    const established = [...(this.#connections.get(id) ?? [])].filter(
      (connection) => connection.isEstablished,
    );
    if (established.length < LIMITS.connectionsPerDevice) return;
    throw new GatehouseError(
      "quic.limit",
      `this device has ${LIMITS.connectionsPerDevice} connections already`,
    );
  }

  /** Remembers `connection` until it ends. */
  add(id: DeviceId, spkiSha256: Uint8Array, connection: DoorConnection): void {
    this.#keys.set(connection, spkiSha256);
    const own = this.#connections.get(id) ?? new Set();
    this.#connections.set(id, own.add(connection));
    connection.limitFlight(() => LIMITS.flightBytesPerDevice / own.size);
    void connection.closed.then(() => {
      own.delete(connection);
      if (own.size === 0 && this.#connections.get(id) === own) this.#connections.delete(id);
    });
  }

  /** Open now. */
  count(id: DeviceId): number {
    return this.#connections.get(id)?.size ?? 0;
  }

  /** Ends every connection, now. */
  expelAll(cause: CloseCause, reason: string): void {
    for (const id of this.#connections.keys()) this.expel(id, cause, reason);
  }

  /** Ends the connections of a device that came in with another key than these. */
  expelOtherKeys(id: DeviceId, keys: readonly Uint8Array[]): void {
    for (const connection of this.#connections.get(id) ?? []) {
      const own = this.#keys.get(connection);
      if (own !== undefined && keys.some((key) => equalBytes(key, own))) continue;
      // Whoever has the new key comes back with it.
      connection.close("going-away", "this device has another key now");
    }
  }

  /** Ends every connection of a device, now. */
  expel(id: DeviceId, cause: CloseCause, reason: string): void {
    for (const connection of this.#connections.get(id) ?? []) connection.close(cause, reason);
  }
}
