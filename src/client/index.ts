export { type gatehouse, METHODS } from "../gen/index.ts";
export type { CallOptions } from "../rpc/index.ts";
export { Client } from "./client.ts";
export { type ConnectOptions, connect } from "./connect.ts";
export { type DeviceCredentials, exportCredentials } from "./credentials.ts";
export { Device, type DeviceConnectOptions } from "./device.ts";
export { openHomeIdentity } from "./home-identity.ts";
export { type Joined, type JoinOptions, joinGatehouse } from "./join.ts";
export type { HandshakeFacts } from "./link/lane.ts";
export type { ResumptionMode } from "./link/link.ts";
export type { Wire, WireChange } from "./link/wire.ts";
export type { Outbox } from "./offline/outbox.ts";
export type { Outcome } from "./offline/outbox-format.ts";
export type {
  DrainOptions,
  EnqueuedCall,
  EnqueueOptions,
  SettledCall,
  WaitingCall,
} from "./offline/outbox-types.ts";
export type { CachedSecret, CachedSecretOptions } from "./offline/secret-cache.ts";
export { type Remote, Remotes } from "./remotes.ts";
export type { RenewalOptions } from "./renewal/renewal-wish.ts";
export type { Stub, Stubs } from "./stubs.ts";
export type { CredentialsConnectOptions } from "./with-credentials.ts";
