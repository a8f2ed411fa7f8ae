export { connectGrpc, type GrpcClient, type GrpcConnectOptions } from "./client.ts";
export type { GrpcClientConnection } from "./client-connection.ts";
export type { GrpcConnection, TcpAddress } from "./connection.ts";
export type { GrpcServerCounters } from "./newcomers.ts";
export type { TcpPairingConnection } from "./pairing-connection.ts";
export { REQUEST_ID_KEY } from "./request-head.ts";
export { type GrpcAdmission, type GrpcHandshake, GrpcServer, type GrpcServerOptions } from "./server.ts";
export { SocketStream } from "./socket-stream.ts";
export {
  type DialledTls,
  dialTls,
  type ServerVerification,
  type TlsDialOptions,
} from "./tls-dial.ts";
export type { TlsContext } from "./tls-door.ts";
export { tlsExporter } from "./tls-exporter.ts";
export { CODE_KEY, HINT_KEY, RETRY_AFTER_KEY } from "./trailers.ts";
