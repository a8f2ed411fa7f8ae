/** Who appears in a policy table. */
import { createHash } from "node:crypto";
import { type DeviceId, deviceIdOf, isDeviceId } from "../identity/index.ts";
import { type Fields, fieldsOf, listOf, Misshapen, mapOf, optional, textOf, within } from "./json-shape.ts";
import type { DeviceFacts, Principal } from "./request.ts";

export interface Cast {
  /** The device of that name. @throws Misshapen when the table has none. */
  principal(json: unknown, place: string): Principal;
  /** Text with `{name}` replaced by that device's id. @throws Misshapen as `principal` */
  filledIn(json: unknown, place: string): string;
  /** @throws Misshapen when the table names no gatehouse. */
  gatehouse(place: string): DeviceId;
}

/** Of a whole table. */
export function castOf(table: Fields): Cast {
  const users = optional(table["users"], "users", (json) => mapOf(json, "users", userRoles)) ?? {};
  const facts = mapOf(table["devices"], "devices", (json, place) => deviceFacts(json, place, users));
  const named = (name: string, place: string): Principal => {
    const found = Object.hasOwn(facts, name) ? facts[name] : undefined;
    if (found === undefined)
      throw new Misshapen(place, `there is no device ${JSON.stringify(name)} in the table`);
    return { deviceId: idOf(name), ...found };
  };
  const gatehouse = optional(table["gatehouse"], "gatehouse", (json, place) =>
    named(textOf(json, place), place),
  );
  return {
    principal: (json, place) => named(textOf(json, place), place),
    filledIn: (json, place) =>
      textOf(json, place).replace(/\{([^{}]*)\}/g, (_, name: string) => named(name, place).deviceId),
    gatehouse: (place) => {
      if (gatehouse !== undefined) return gatehouse.deviceId;
      throw new Misshapen(place, "the table does not say which device is the gatehouse");
    },
  };
}

/** An id stands for itself; any other name for the device whose public key is the name's SHA-256. */
function idOf(name: string): DeviceId {
  if (isDeviceId(name)) return name;
  return deviceIdOf(new Uint8Array(createHash("sha256").update(name).digest()));
}

function userRoles(json: unknown, place: string): readonly string[] {
  const { roles } = fieldsOf(json, place, { required: ["roles"] });
  return listOf(roles, within(place, "roles"), textOf);
}

function deviceFacts(
  json: unknown,
  place: string,
  users: Readonly<Record<string, readonly string[]>>,
): DeviceFacts {
  const fields = fieldsOf(json, place, { optional: ["role", "roles", "user", "name"] });
  const { role, roles, user, name } = fields;
  if (role !== undefined && roles !== undefined) throw new Misshapen(place, "has both role and roles");
  return {
    roles:
      role === undefined
        ? listOf(roles ?? [], within(place, "roles"), textOf)
        : [textOf(role, within(place, "role"))],
    name: optional(name, within(place, "name"), textOf),
    user: optional(user, within(place, "user"), (id, at) => knownUser(textOf(id, at), at, users)),
  };
}

function knownUser(
  id: string,
  place: string,
  users: Readonly<Record<string, readonly string[]>>,
): NonNullable<DeviceFacts["user"]> {
  const roles = Object.hasOwn(users, id) ? users[id] : undefined;
  if (roles === undefined) throw new Misshapen(place, `there is no user ${JSON.stringify(id)} in the table`);
  return { id, roles };
}
