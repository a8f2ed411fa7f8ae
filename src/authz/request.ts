import type { DeviceId } from "../identity/index.ts";

/** Every action that policies can name, as `schemas/cedar/gatehouse.cedarschema` declares them (groups left out). */
export const ACTIONS = [
  "gatehouse:ping",
  "gatehouse:status",
  "secret:list",
  "secret:reveal",
  "secret:use",
  "secret:write",
  "secret:destroy",
  "tool:list",
  "tool:run",
  "profile:list",
  "profile:use",
  "profile:token",
  "profile:manage",
  "device:list",
  "device:approve",
  "device:grant",
  "device:readmit",
  "device:release",
  "device:rename",
  "device:renew-self",
  "device:revoke",
  "user:list",
  "user:manage",
  "pair:open",
  "policy:list",
  "policy:read",
  "policy:write",
  "authority:read",
  "authority:manage",
  "backup:create",
  "vault:rotate",
  "vault:seal",
  "audit:read",
  "approval:list",
  "approval:decide",
] as const;

export type Action = (typeof ACTIONS)[number];

/** A paired device with what the gatehouse's own records say of it, never what it says of itself. */
export interface DeviceFacts {
  /** In one order always: decisions are remembered by it. */
  readonly roles: readonly string[];
  readonly name?: string | undefined;
  /** The user it belongs to, with that user's roles. */
  readonly user?: { readonly id: string; readonly roles: readonly string[] } | undefined;
}

export interface Principal extends DeviceFacts {
  readonly deviceId: DeviceId;
}

/** What an action is about. Paths are `a/b/c`; the folder `""` is the root. */
export type Resource =
  | { readonly kind: "gatehouse"; readonly id: DeviceId }
  | { readonly kind: "secret"; readonly path: string }
  | { readonly kind: "folder"; readonly path: string }
  | ({ readonly kind: "device"; readonly id: DeviceId } & DeviceFacts)
  | { readonly kind: "audit-log" }
  | { readonly kind: "policy"; readonly id: string }
  /** `groups` as the tool's declaration has them, in one order always. */
  | { readonly kind: "tool"; readonly name: string; readonly groups?: readonly string[] | undefined }
  | { readonly kind: "profile"; readonly name: string };

/** Somebody's yes to exactly one call. */
export interface Approval {
  readonly id: string;
  /** Whoever decided it; by id alone, policies see neither its roles nor its user. */
  readonly decidedBy: DeviceId | Principal;
}

/** How the call came in, and what it brought. */
export interface CallContext {
  readonly wire: "quic" | "grpc";
  /** The call's wall-clock time; policies see it to the second. */
  readonly timeMs: number;
  readonly isEarlyData: boolean;
  /** IPv4 or IPv6 address without port; a zone (`%eth0`) is ignored. */
  readonly remoteAddress?: string | undefined;
  readonly approval?: Approval | undefined;
  /** SHA-256 of a tool call's canonical arguments, hex. */
  readonly argumentsHash?: string | undefined;
  /** A tool call's arguments by parameter name. */
  readonly arguments?: Readonly<Record<string, string>> | undefined;
  /** The role that a pairing window or a grant would give. */
  readonly role?: string | undefined;
}

export interface AuthorizationRequest {
  readonly principal: Principal;
  readonly action: Action;
  readonly resource: Resource;
  readonly context: CallContext;
}

/** A request that has no meaning under the schema; it is denied. Never leaves this folder. */
export class UnfitRequest extends Error {
  override readonly name = "UnfitRequest";
}
