import type { AdmittedDevice, DeviceRegistry } from "../ca/index.ts";
import { GatehouseError, isGatehouseError, type Logger } from "../core/index.ts";
import { isCloseCause } from "../quic/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import type { DeviceAdmission, DeviceHandshake, DoorConnection, Wire } from "./door-connection.ts";
import type { Peers } from "./peers.ts";

export interface AdmissionParts {
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly peers: Peers;
  readonly logger: Logger;
  /** Takes a connection whose device has been let in. */
  readonly serve: (connection: DoorConnection, wire: Wire, device: AdmittedDevice<DeviceRow>) => void;
  /** A device has shown that it is here. */
  readonly arrived: (device: AdmittedDevice<DeviceRow>, wire: Wire, address: string) => void;
}

/** Judges every device at the end of its handshake by its certificate, whatever the wire. */
export function admission(parts: AdmissionParts): (handshake: DeviceHandshake) => DeviceAdmission {
  return (handshake) => admitDevice(parts, handshake);
}

function admitDevice(
  parts: AdmissionParts,
  { certificates, isEarlyData, remote, wire }: DeviceHandshake,
): DeviceAdmission {
  const { registry, peers, serve, logger } = parts;
  try {
    const device = registry.admit(certificates);
    peers.check(device.id);
    // A replay is no sign of life.
    if (!isEarlyData) parts.arrived(device, wire, remote.host);
    return {
      kind: "admitted",
      accept: (connection) => {
        peers.add(device.id, device.spkiSha256, connection);
        serve(connection, wire, device);
      },
    };
  } catch (failure) {
    const error = isGatehouseError(failure)
      ? failure
      : new GatehouseError("quic.not-admitted", "the certificate could not be checked", { cause: failure });
    logger.info("device-refused", { code: error.code, from: remote.host, wire });
    if (error.code === "quic.limit") return { kind: "refused", cause: "limit", error };
    return { kind: "refused", cause: isCloseCause(error.code) ? error.code : "not-admitted", error };
  }
}
