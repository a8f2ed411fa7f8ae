/** Why a part of a policy does not fit a request: lower case, no full stop. What stands in policies shows, escaped. */
import type { TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { isDeviceId, shortDeviceId } from "../identity/index.ts";
import type { CedarCall } from "./cedar-call.ts";
import { cedarString, shownName } from "./display.ts";
import { isObject } from "./policy-json.ts";
import { ACTIONS } from "./request.ts";
import { uidOf } from "./values.ts";

const NOUNS: Readonly<Record<string, string>> = {
  Role: "role",
  User: "user",
  Device: "device",
  Folder: "folder",
  Secret: "secret",
  Tool: "tool",
  ToolGroup: "tool group",
  Profile: "profile",
  Policy: "policy",
};

/** Names in one sentence. */
const NAMES_MAX = 5;

/** `the role owner`, `the device mfqwcylb`, `the root folder`; a type that the schema has not, as Cedar writes it. */
export function entityWords({ type, id }: TypeAndId): string {
  if (type === "AuditLog") return "the audit log";
  if (type === "Gatehouse") return "the gatehouse";
  if (type === "Folder" && id === "") return "the root folder";
  const noun = NOUNS[type];
  if (noun === undefined) return `${type}::${cedarString(id)}`;
  return `the ${noun} ${isDeviceId(id) ? shortDeviceId(id) : shownName(id)}`;
}

/** Why `who`, such as "the caller", is not in that entity. */
export function notIn(who: string, entity: TypeAndId): string {
  if (entity.type === "Role") return `${who} has not ${entityWords(entity)}`;
  if (entity.type === "User") return `${who} does not belong to ${entityWords(entity)}`;
  if (entity.type === "Device") return `${who} is not ${entityWords(entity)}`;
  return `${who} is not in ${entityWords(entity)}`;
}

/** `constraint` is the scope's, in Cedar's JSON form. */
export function principalWords(constraint: unknown): string {
  const { entity, within, type } = parts(constraint);
  if (within !== undefined) return notIn("the caller", within);
  if (entity !== undefined) return `the caller is not ${entityWords(entity)}`;
  return `the caller is not a ${type}`;
}

export function actionWords(constraint: unknown, { action }: CedarCall): string {
  const { entity, within, several } = parts(constraint);
  const names = [entity, within, ...several].flatMap((uid) => (uid === undefined ? [] : [actionName(uid)]));
  return `the action is ${shownName(action.id)}, this is for ${alternatives(names)}`;
}

export function resourceWords(constraint: unknown, { resource }: CedarCall): string {
  const { entity, within, type } = parts(constraint);
  const own = entityWords(resource);
  if (within !== undefined) return `${own} is not in ${entityWords(within)}`;
  if (entity !== undefined) return `the resource is ${own}, this is for ${entityWords(entity)}`;
  return `the resource is ${own}, this is for a ${NOUNS[type] ?? type}`;
}

interface ConstraintParts {
  /** Of `==`. */
  readonly entity: TypeAndId | undefined;
  /** Of `in`, and of `is T in`. */
  readonly within: TypeAndId | undefined;
  /** Of `in [...]`. */
  readonly several: readonly TypeAndId[];
  /** Of `is`. */
  readonly type: string;
}

function parts(constraint: unknown): ConstraintParts {
  const { op, entity, entities, entity_type: type, in: within } = isObject(constraint) ? constraint : {};
  const inner = isObject(within) ? within["entity"] : undefined;
  return {
    entity: op === "==" ? uidOf(entity) : undefined,
    within: uidOf(op === "in" ? entity : inner),
    several: Array.isArray(entities) ? entities.flatMap((uid) => uidOf(uid) ?? []) : [],
    type: typeof type === "string" ? type : "thing of that kind",
  };
}

/** Groups are declared beside actions, and under the same type. */
function actionName({ id }: TypeAndId): string {
  const isAction = ACTIONS.some((action) => action === id);
  return isAction ? id : `the group ${shownName(id)}`;
}

function alternatives(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_MAX);
  const rest = names.length - shown.length;
  const last = rest > 0 ? `${rest} more` : shown.pop();
  return shown.length === 0 ? (last ?? "nothing") : `${shown.join(", ")} or ${last}`;
}
