import type { AdmittedDevice, DeviceRegistry } from "../ca/index.ts";
import { GatehouseError, isGatehouseError, type Logger } from "../core/index.ts";
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
  readonly serve: (connection: QuicConnection, device: AdmittedDevice<DeviceRow>) => void;
  /** A device has shown that it is here. */
  readonly arrived: (device: AdmittedDevice<DeviceRow>, address: string) => void;
}

/** Judges every connection at the end of its handshake: devices by their certificate, strangers by the pairing door. */
export function admission(parts: AdmissionParts): (handshake: ServerHandshake) => Admission {
  return (handshake) =>
    handshake.alpn === PAIRING_ALPN ? parts.pairing.admit() : admitDevice(parts, handshake);
}

function admitDevice(
  parts: AdmissionParts,
  { certificates, isEarlyData, remote }: ServerHandshake,
): Admission {
  const { registry, peers, serve, logger } = parts;
  try {
    const device = registry.admit(certificates);
    peers.check(device.id);
    // A replay is no sign of life.
    if (!isEarlyData) parts.arrived(device, remote.host);
    return {
      kind: "admitted",
      accept: (connection) => {
        peers.add(device.id, device.spkiSha256, connection);
        serve(connection, device);
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
