import type { CedarValueJson, EntityJson, EntityUidJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { LIMITS } from "../core/index.ts";
import { type DeviceId, parseDeviceId } from "../identity/index.ts";
import { type DeviceFacts, type Principal, type Resource, UnfitRequest } from "./request.ts";

/** Folder under which each device has its own. */
const DEVICES = "devices";

export function deviceUid(id: DeviceId): TypeAndId {
  return { type: "Device", id };
}

export function resourceUid(resource: Resource): TypeAndId {
  switch (resource.kind) {
    case "gatehouse":
      return { type: "Gatehouse", id: resource.id };
    case "secret":
      return { type: "Secret", id: resource.path };
    case "folder":
      return { type: "Folder", id: resource.path };
    case "device":
      return deviceUid(resource.id);
    case "audit-log":
      return { type: "AuditLog", id: "log" };
    case "policy":
      return { type: "Policy", id: resource.id };
    case "tool":
      return { type: "Tool", id: resource.name };
    case "profile":
      return { type: "Profile", id: resource.name };
  }
}

/**
 * The entities one decision needs: the principal, the resource, and all that lies above them.
 * A function of the request alone, so that a memo keyed on the request is exact.
 *
 * @throws UnfitRequest when a path is none, or when principal and resource tell different things of one device.
 */
export function requestEntities(principal: Principal, resource: Resource): EntityJson[] {
  const entities = deviceEntities(principal.deviceId, principal);
  switch (resource.kind) {
    case "secret":
      return [...entities, secretEntity(resource.path)];
    case "folder":
      return [...entities, folderEntity(resource.path)];
    case "device":
      return merged(entities, deviceEntities(resource.id, resource));
    case "tool":
      return [...entities, toolEntity(resource)];
    case "gatehouse":
    case "audit-log":
    case "policy":
    case "profile":
      return entities;
  }
}

/** A device and, where it belongs to one, its user. */
export function deviceEntities(id: DeviceId, { roles, name, user }: DeviceFacts): EntityJson[] {
  const roleUid = (roleId: string): TypeAndId => ({ type: "Role", id: roleId });
  const device: EntityJson = {
    uid: deviceUid(id),
    attrs: name === undefined ? {} : { name },
    parents: roles.map(roleUid),
  };
  if (user === undefined) return [device];
  const userUid: TypeAndId = { type: "User", id: user.id };
  device.parents.push(userUid);
  return [device, { uid: userUid, attrs: {}, parents: user.roles.map(roleUid) }];
}

function toolEntity({ name, groups = [] }: Resource & { readonly kind: "tool" }): EntityJson {
  const parents = groups.map((id) => ({ type: "ToolGroup", id }));
  return { uid: { type: "Tool", id: name }, attrs: {}, parents };
}

function secretEntity(path: string): EntityJson {
  const segments = segmentsOf(path);
  if (segments.length === 0) throw new UnfitRequest("a secret has a path");
  // `devices/<id>` itself, as a secret, lies beside that device's folder and not in it.
  const owner = segments.length > 2 ? ownerOf(segments) : undefined;
  return treeEntity({ type: "Secret", id: path }, segments, owner);
}

function folderEntity(path: string): EntityJson {
  const segments = segmentsOf(path);
  return treeEntity({ type: "Folder", id: path }, segments, ownerOf(segments));
}

/**
 * Every folder above is named as a parent outright: the closure that Cedar would compute from a chain of
 * Folder entities, in linear instead of quadratic time for a path of 256 segments.
 */
function treeEntity(uid: TypeAndId, segments: readonly string[], owner: DeviceId | undefined): EntityJson {
  const attrs: Record<string, CedarValueJson> = { path: uid.id };
  if (owner !== undefined) attrs["owner"] = { __entity: deviceUid(owner) };
  const parents = segments.map((_, depth) => ({ type: "Folder", id: segments.slice(0, depth).join("/") }));
  return { uid, attrs, parents };
}

/** The vault's rule for paths, held here again: what the engine decides on must be a path of the one tree. */
function segmentsOf(path: string): readonly string[] {
  if (path === "") return [];
  const segments = path.split("/");
  const isPath =
    path.length <= LIMITS.secretPathBytes &&
    segments.every(
      (segment) =>
        /^[A-Za-z0-9._-]+$/.test(segment) &&
        segment.length <= LIMITS.secretPathSegmentBytes &&
        segment !== "." &&
        segment !== "..",
    );
  if (!isPath) throw new UnfitRequest("not a path");
  return segments;
}

/** Only the canonical spelling owns: two spellings of one id are two folders to the vault. */
function ownerOf([top, id]: readonly string[]): DeviceId | undefined {
  if (top !== DEVICES || id === undefined) return undefined;
  try {
    const parsed = parseDeviceId(id);
    return parsed === id ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Both lists as one. Cedar refuses two entities of one id that differ; saying so here keeps that from hanging on its
 * version.
 *
 * @throws UnfitRequest when they tell different things of one entity.
 */
export function merged(entities: EntityJson[], others: readonly EntityJson[]): EntityJson[] {
  if (others.length === 0) return entities;
  const added = others.filter((entity) => {
    const same = entities.find(({ uid }) => isSame(uid, entity.uid));
    if (same !== undefined && JSON.stringify(same) !== JSON.stringify(entity))
      throw new UnfitRequest("two states of one entity");
    return same === undefined;
  });
  return [...entities, ...added];
}

/** What is built here is never spelt `{ __entity: … }`. */
function isSame(a: EntityUidJson, b: EntityUidJson): boolean {
  return "type" in a && "type" in b && a.type === b.type && a.id === b.id;
}
