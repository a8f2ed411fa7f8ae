import { createHash } from "node:crypto";
import {
  type AuthorizationRequest,
  Authorizer,
  loadDefaultPolicies,
  loadDefaultSchema,
} from "../../src/authz/index.ts";
import { type DeviceId, deviceIdOf } from "../../src/identity/index.ts";

/** The id of a device whose public key is the hash of its name. */
export function idOf(name: string): DeviceId {
  return deviceIdOf(new Uint8Array(createHash("sha256").update(name).digest()));
}

export const NOON_MS = Date.UTC(2026, 10, 23, 12, 0, 0);

type Overrides = { readonly [Field in keyof AuthorizationRequest]?: AuthorizationRequest[Field] };

/** A member's phone reveals `shared/db` over QUIC at noon, unless told otherwise. */
export function request(overrides: Overrides = {}): AuthorizationRequest {
  return {
    principal: { deviceId: idOf("phone"), roles: ["member"] },
    action: "secret:reveal",
    resource: { kind: "secret", path: "shared/db" },
    context: { wire: "quic", timeMs: NOON_MS, isEarlyData: false, remoteAddress: "192.0.2.7" },
    ...overrides,
  };
}

/** An authorizer under exactly these policies, each given by name. */
export async function authorizerOf(policies: Readonly<Record<string, string>>): Promise<Authorizer> {
  return Authorizer.open({ schema: await loadDefaultSchema(), policies: sourcesOf(policies) });
}

export function sourcesOf(policies: Readonly<Record<string, string>>): { id: string; text: string }[] {
  return Object.entries(policies).map(([id, text]) => ({ id, text }));
}

export async function defaultAuthorizer(): Promise<Authorizer> {
  return Authorizer.open({ schema: await loadDefaultSchema(), policies: await loadDefaultPolicies() });
}
