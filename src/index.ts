/** The library: connect to gatehouses and call them. The daemon is the program `gatehouse serve`. */
export {
  Client,
  type ConnectOptions,
  connect,
  Device,
  type DeviceConnectOptions,
  type HandshakeFacts,
  type Joined,
  type JoinOptions,
  joinGatehouse,
  METHODS,
  type Remote,
  Remotes,
  type ResumptionMode,
  type Wire,
  type WireChange,
} from "./client/index.ts";
export { type ErrorCode, GatehouseError, isGatehouseError } from "./core/index.ts";
