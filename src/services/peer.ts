import type { DeviceId } from "../identity/index.ts";

/** Who calls, as its connection's certificate proved it. Nothing here comes from what the caller says. */
export interface Peer {
  readonly deviceId: DeviceId;
  /** As the gatehouse's own records say now; undefined once the device is revoked. */
  readonly facts: () => { readonly name: string; readonly role: string } | undefined;
  readonly wire: "quic" | "grpc";
  /** IP address, without port. */
  readonly remoteAddress: () => string;
}
