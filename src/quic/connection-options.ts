import type { Clock, Logger, Random } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import type { QuicConnection } from "./connection.ts";
import type { Routes } from "./connection-ids.ts";
import type { PeerAdmission } from "./gate.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
import type { Signal } from "./stream-table.ts";

export interface ConnectionOptions {
  readonly native: NativeConnection;
  readonly role: "client" | "server";
  readonly socket: DatagramSocket;
  readonly remote: SocketAddress;
  /** Servers: the client's first destination connection id; what comes by it again is a repeat. */
  readonly originalId?: Uint8Array;
  /** Servers: the client has shown a token. */
  readonly isValidated?: boolean;
  /** Clients: a ticket is in the library's hands; and what is remembered of the path. */
  readonly isResuming?: boolean;
  readonly rttMs?: number | undefined;
  /** Judges the peer once TLS shows its certificates; no frame of a peer it has not let in is processed. */
  readonly admit: PeerAdmission;
  /** The handshake is complete. */
  readonly established?: (connection: QuicConnection) => void;
  /** Clients: the server, or this side's own wear, asks for a fresh connection. */
  readonly onSignal?: (signal: Signal) => void;
  /** Clients: a ticket has come (RFC 8446 §4.6.1). */
  readonly onSession?: (session: Uint8Array) => void;
  /** Between signs of life while calls are under way; undefined: the other side sees to that. */
  readonly keepAliveMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly scratch: Buffer;
  readonly routes: Routes;
  readonly schedule: (connection: QuicConnection) => void;
  /** Told before a timer of this connection enters the library, and with undefined after it. */
  readonly handling?: ((connection: QuicConnection | undefined) => void) | undefined;
  /** The library holds nothing of this connection any more. */
  readonly gone: (connection: QuicConnection) => void;
}

/** What is known of the peer once TLS has shown its certificates. */
export interface Handshake {
  /** DER, leaf first; verified against the CA only in the strict context. Possession of the leaf's key is proven. */
  readonly certificates: readonly Uint8Array[];
  readonly alpn: string;
  readonly isResumed: boolean;
  /** Servers: the handshake is not complete yet, so that all this may be a replay. */
  readonly isEarlyData: boolean;
  readonly remote: SocketAddress;
}
