import { GatehouseError, LIMITS } from "../core/index.ts";
import type { DeviceId } from "../identity/index.ts";
import type { CloseCause, QuicConnection } from "../quic/index.ts";

/** Live connections by device: to bound them, and to end them when the device is revoked. */
export class Peers {
  readonly #connections = new Map<DeviceId, Set<QuicConnection>>();

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
  add(id: DeviceId, connection: QuicConnection): void {
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

  /** Ends every connection of a device, now. */
  expel(id: DeviceId, cause: CloseCause, reason: string): void {
    for (const connection of this.#connections.get(id) ?? []) connection.close(cause, reason);
  }
}
