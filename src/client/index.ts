export { METHODS } from "../gen/index.ts";
export { Client } from "./client.ts";
export { type ConnectOptions, connect, Device, type DeviceConnectOptions } from "./device.ts";
export { openHomeIdentity } from "./home-identity.ts";
export { type Joined, type JoinOptions, joinGatehouse } from "./join.ts";
export type { HandshakeFacts } from "./lane.ts";
export type { ResumptionMode } from "./link.ts";
export { type Remote, Remotes } from "./remotes.ts";
export type { RenewalOptions } from "./renewal-wish.ts";
