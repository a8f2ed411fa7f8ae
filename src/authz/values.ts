/** What a request had for an expression, where that can be looked up without evaluating anything. */
import type { CedarValueJson, EntityJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarCall } from "./cedar-call.ts";
import { isEntity } from "./display.ts";
import { attributeOf, childrenOf, isObject, operandsOf } from "./policy-json.ts";

/** `context.arguments.getTag("x")`, `resource.owner`, `principal`…; `undefined` for what is not there or not looked up. */
export function valueIn(expression: unknown, call: CedarCall): CedarValueJson | undefined {
  if (!isObject(expression)) return undefined;
  const variable = expression["Var"];
  if (typeof variable === "string") return variableIn(variable, call);
  const access = expression["."];
  if (isObject(access)) {
    const attribute = attributeOf(access);
    const whole = valueIn(access["left"], call);
    return attribute === undefined ? undefined : attributeIn(whole, attribute, call);
  }
  const tag = operandsOf(expression, "getTag");
  return tag === undefined ? undefined : tagIn(valueIn(tag.left, call), literalOf(tag.right), call);
}

/** The first expression inside this one that is an attribute or tag which the request had. */
export function readIn(expression: unknown, call: CedarCall): unknown {
  const isRead = isObject(expression) && ("." in expression || "getTag" in expression);
  if (isRead && valueIn(expression, call) !== undefined) return expression;
  for (const child of childrenOf(expression)) {
    const found = readIn(child, call);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The entity that a literal names. */
export function entityLiteral(expression: unknown): TypeAndId | undefined {
  const value = isObject(expression) ? expression["Value"] : undefined;
  return isObject(value) ? uidOf(value) : undefined;
}

/** Of `{ __entity: { type, id } }` or `{ type, id }`. */
export function uidOf(json: unknown): TypeAndId | undefined {
  if (!isObject(json)) return undefined;
  if ("__entity" in json) return uidOf(json["__entity"]);
  const { type, id } = json;
  return typeof type === "string" && typeof id === "string" ? { type, id } : undefined;
}

/** The text that a literal is. */
export function literalOf(expression: unknown): string | undefined {
  const value = isObject(expression) ? expression["Value"] : undefined;
  return typeof value === "string" ? value : undefined;
}

function variableIn(
  name: string,
  { principal, action, resource, context }: CedarCall,
): CedarValueJson | undefined {
  switch (name) {
    case "principal":
      return { __entity: principal };
    case "action":
      return { __entity: action };
    case "resource":
      return { __entity: resource };
    case "context":
      return context;
    default:
      return undefined;
  }
}

function attributeIn(
  whole: CedarValueJson | undefined,
  attribute: string,
  call: CedarCall,
): CedarValueJson | undefined {
  if (typeof whole !== "object" || whole === null || Array.isArray(whole) || "__extn" in whole)
    return undefined;
  const fields = isEntity(whole) ? entityIn(call, whole.__entity)?.attrs : whole;
  return fieldOf(fields, attribute);
}

function tagIn(
  entity: CedarValueJson | undefined,
  tag: string | undefined,
  call: CedarCall,
): CedarValueJson | undefined {
  if (entity === undefined || tag === undefined || !isEntity(entity)) return undefined;
  return fieldOf(entityIn(call, entity.__entity)?.tags, tag);
}

/** Only its own: a policy may ask for any name. */
function fieldOf(
  fields: Readonly<Record<string, CedarValueJson>> | undefined,
  name: string,
): CedarValueJson | undefined {
  return fields !== undefined && Object.hasOwn(fields, name) ? fields[name] : undefined;
}

function entityIn({ entities }: CedarCall, { type, id }: TypeAndId): EntityJson | undefined {
  return entities.find(({ uid }) => {
    const found = uidOf(uid);
    return found?.type === type && found.id === id;
  });
}
