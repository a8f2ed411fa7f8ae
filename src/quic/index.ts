export { dialable, formatAddress, type SocketAddress } from "./address.ts";
export {
  ClientTls,
  type ClientTlsOptions,
  connectQuic,
  type QuicClientConnection,
  type QuicConnectOptions,
} from "./client.ts";
export { type CloseCause, closeError, isCloseCause, STREAM_CODES } from "./close-codes.ts";
export type { QuicConnection } from "./connection.ts";
export type { Handshake } from "./connection-options.ts";
export type { Admission, PeerAdmission } from "./gate.ts";
export type { DatagramSocket, Network, OnDatagram } from "./network.ts";
export { NetworkWatch } from "./network-watch.ts";
export {
  QuicServer,
  type QuicServerCounters,
  type QuicServerLimits,
  type QuicServerOptions,
  type ServerHandshake,
  type ServerTls,
  type TlsContext,
} from "./server.ts";
export type { QuicStream, StreamSink } from "./stream.ts";
export type { OnStream, Signal } from "./stream-table.ts";
export type { PeerVerification, TlsIdentity } from "./tls.ts";
export { udpNetwork } from "./udp-socket.ts";
