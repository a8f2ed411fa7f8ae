import type { DeviceId } from "../identity/index.ts";

/** Who calls, as its connection's certificate proved it. Nothing here comes from what the caller says. */
export interface Peer {
  readonly deviceId: DeviceId;
  /** As the gatehouse's own records say now; undefined once the device is not welcome any more. */
  readonly facts: () =>
    | {
        readonly name: string;
        readonly roles: readonly string[];
        /** Whom it belongs to, with that user's roles. */
        readonly user?: { readonly id: string; readonly roles: readonly string[] } | undefined;
      }
    | undefined;
  /** `renewal`: its certificate has run out, and all it may do is renew it. */
  readonly access: "full" | "renewal";
  /** SHA-256 of the SubjectPublicKeyInfo that this gatehouse showed on the connection. */
  readonly serverSpkiSha256: Uint8Array;
  readonly wire: "quic" | "grpc";
  /** IP address, without port. */
  readonly remoteAddress: () => string;
}
