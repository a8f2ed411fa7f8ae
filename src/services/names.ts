/** Names that callers choose. */
import { GatehouseError, LIMITS } from "../core/index.ts";

const ROLE = /^[a-z][a-z0-9-]{0,31}$/;

/** @throws usage.bad-argument */
export function parseRole(role: string): string {
  if (ROLE.test(role)) return role;
  throw new GatehouseError("usage.bad-argument", "not a role's name", {
    hint: "a role is a lower-case word such as member, owner or ci",
  });
}

const POLICY_ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Of a source of policies. @throws usage.bad-argument */
export function parsePolicyId(id: string): string {
  if (POLICY_ID.test(id)) return id;
  throw new GatehouseError("usage.bad-argument", "not a policy source's id", {
    hint: "1 to 64 of [a-z0-9._-], a letter or digit first, such as deploys",
  });
}

/** Shown on terminals: no control, format or private characters, no space at either end. @throws usage.bad-argument */
export function parseDeviceName(name: string): string {
  const isFit = name !== "" && name.trim() === name && !/\p{C}|\p{Zl}|\p{Zp}/u.test(name);
  if (isFit && Buffer.byteLength(name) <= LIMITS.deviceNameBytes) return name;
  throw new GatehouseError("usage.bad-argument", "not a device's name", {
    hint: `a name has 1 to ${LIMITS.deviceNameBytes} bytes, all of them printable`,
  });
}
