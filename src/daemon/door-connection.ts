import type { Admission, CloseCause, ServerHandshake } from "../quic/index.ts";
import type { CallStream } from "../rpc/index.ts";

export type Wire = "quic" | "grpc";

/** A device's connection on any wire: as much of it as those need who let devices in and put them out. */
export interface DoorConnection {
  readonly remote: { readonly host: string };
  /** False while all that it said came in early data. */
  readonly isEstablished: boolean;
  readonly closed: Promise<unknown>;
  onStream(take: (stream: CallStream) => void): void;
  limitFlight(bytesMax: () => number): void;
  close(cause: CloseCause, reason: string): void;
}

/** What is known of a device once TLS has shown its certificate. */
export interface DeviceHandshake extends Pick<ServerHandshake, "certificates" | "isEarlyData" | "remote"> {
  readonly wire: Wire;
}

export type DeviceAdmission =
  | { readonly kind: "admitted"; readonly accept: (connection: DoorConnection) => void }
  | Extract<Admission, { readonly kind: "refused" }>;
