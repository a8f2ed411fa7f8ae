import type { DeviceRegistry } from "../ca/index.ts";
import { GatehouseError, isGatehouseError, type Logger } from "../core/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { PAIRING_ALPN } from "../pairing/index.ts";
import { type Admission, isCloseCause, type QuicConnection, type ServerHandshake } from "../quic/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import type { PairingDoor } from "./pairing-door.ts";
import type { Peers } from "./peers.ts";

export interface AdmissionParts {
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly peers: Peers;
  readonly pairing: PairingDoor;
  readonly logger: Logger;
  /** Takes a connection whose device has been let in. */
  readonly serve: (connection: QuicConnection, id: DeviceId) => void;
}

/** Judges every connection at the end of its handshake: devices by their certificate, strangers by the pairing door. */
export function admission(parts: AdmissionParts): (handshake: ServerHandshake) => Admission {
  return (handshake) =>
    handshake.alpn === PAIRING_ALPN ? parts.pairing.admit() : admitDevice(parts, handshake);
}

function admitDevice(
  { registry, peers, serve, logger }: AdmissionParts,
  { certificates, isEarlyData, remote }: ServerHandshake,
): Admission {
  try {
    const { id } = registry.admit(certificates);
    peers.check(id);
    // A replay is no sign of life.
    if (!isEarlyData) registry.seen(id);
    return {
      kind: "admitted",
      accept: (connection) => {
        peers.add(id, connection);
        serve(connection, id);
      },
    };
  } catch (failure) {
    const error = isGatehouseError(failure)
      ? failure
      : new GatehouseError("quic.not-admitted", "the certificate could not be checked", { cause: failure });
    logger.info("device-refused", { code: error.code, from: remote.host });
    if (error.code === "quic.limit") return { kind: "refused", cause: "limit", error };
    return { kind: "refused", cause: isCloseCause(error.code) ? error.code : "not-admitted", error };
  }
}
