import type { Context, EntityJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { type ContextAttribute, cedarContext, contextEntities } from "./context.ts";
import { deviceUid, merged, requestEntities, resourceUid } from "./entities.ts";
import { type AuthorizationRequest, UnfitRequest } from "./request.ts";

/** A request in Cedar's own form. */
export interface CedarCall {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: Context;
  readonly entities: EntityJson[];
}

/**
 * A function of the request, of whose context only the `mentioned` attributes count beside those that the schema requires.
 *
 * @throws UnfitRequest for a path, an address, a time or a text that is none, and when it tells two things of one entity.
 */
export function cedarCall(
  { principal, action, resource, context }: AuthorizationRequest,
  mentioned: ReadonlySet<ContextAttribute>,
): CedarCall {
  const call = {
    principal: deviceUid(principal.deviceId),
    action: { type: "Action", id: action },
    resource: resourceUid(resource),
    context: cedarContext(context, mentioned),
    entities: merged(requestEntities(principal, resource), contextEntities(context, mentioned)),
  };
  if (!isUnicode(call)) throw new UnfitRequest("text that is not Unicode");
  return call;
}

const SURROGATE_HALF = /\p{Cs}/u;

/** The engine takes JSON, and a half of a surrogate pair in it would cost an engine. */
function isUnicode(value: unknown): boolean {
  if (typeof value === "string") return !SURROGATE_HALF.test(value);
  if (Array.isArray(value)) return value.every(isUnicode);
  if (typeof value !== "object" || value === null) return true;
  return Object.keys(value).every(isUnicode) && Object.values(value).every(isUnicode);
}
