import { GatehouseError } from "../core/index.ts";
import type { GrpcAdmission, TcpPairingConnection } from "../grpc/index.ts";
import type { Admission, CloseCause, ServerHandshake, ServerTls } from "../quic/index.ts";
import type { DeviceAdmission, DeviceHandshake } from "./door-connection.ts";

/** What stands behind the front door, open or sealed: the sockets stay when one takes the place of the other. */
export type TcpPairingAdmission = GrpcAdmission<CloseCause, TcpPairingConnection>;

export interface Side {
  readonly serverTls: ServerTls;
  readonly isReadmitting: boolean;
  /** Judges a QUIC connection: of a device, or of a stranger who wants to pair. */
  admit(handshake: ServerHandshake): Admission;
  /** Judges a stranger who has come over TCP to pair. */
  admitTcpPairing(): TcpPairingAdmission;
  /** Judges a device, whatever its wire. */
  admitDevice(handshake: DeviceHandshake): DeviceAdmission;
}

/** Between two sides, and before the first: whoever comes is to come again. */
export function between({ serverTls }: Pick<Side, "serverTls">): Side {
  const refuse = () =>
    ({
      kind: "refused",
      cause: "going-away",
      error: new GatehouseError("rpc.draining", "the gatehouse is being sealed or unsealed"),
    }) as const;
  return { serverTls, isReadmitting: false, admit: refuse, admitDevice: refuse, admitTcpPairing: refuse };
}
