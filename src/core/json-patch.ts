import { GatehouseError } from "./errors.ts";
import { formatPointer, parsePointer } from "./json-pointer.ts";
import {
  equalJson,
  isJsonArray,
  isJsonObject,
  isJsonValue,
  type JsonObject,
  type JsonValue,
  jsonBytes,
} from "./json-values.ts";
import { LIMITS } from "./limits.ts";

/** RFC 6902's, as far as we send them: add, replace and remove. `path` is a JSON Pointer (RFC 6901). */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: JsonValue }
  | { readonly op: "remove"; readonly path: string };

/** What leads from one document to the other. Objects are compared by member; arrays are replaced whole. */
export function patchBetween(before: JsonValue, after: JsonValue): readonly PatchOperation[] {
  return changesAt([], before, after);
}

/**
 * All operations in order, or none: the answer is a new document, neither argument changes. Every name is data, those of
 * JavaScript's prototypes too. `patch` may be anybody's.
 *
 * @throws GatehouseError `rpc.bad-message` for what is no patch, has more than 1 000 operations, names what is not there,
 * or would make the document larger than 256 KiB or deeper than 32.
 */
export function applyPatch(document: JsonValue, patch: unknown): JsonValue {
  const result = operationsOf(patch).reduce(applyOperation, document);
  if (!isJsonValue(result, LIMITS.toolDocumentDepth)) throw refusal("the document would be too deep");
  if (jsonBytes(result) > LIMITS.toolDocumentBytes) throw refusal("the document would be too large");
  return result;
}

function changesAt(at: readonly string[], before: JsonValue, after: JsonValue): readonly PatchOperation[] {
  if (equalJson(before, after)) return [];
  if (!isJsonObject(before) || !isJsonObject(after)) {
    return [{ op: "replace", path: formatPointer(at), value: after }];
  }
  const removed = Object.keys(before).filter((name) => !Object.hasOwn(after, name));
  return [
    ...removed.map((name) => ({ op: "remove", path: formatPointer([...at, name]) }) as const),
    ...Object.entries(after).flatMap(([name, value]) => {
      const [path, old] = [[...at, name], memberOf(before, name)];
      return old === undefined
        ? [{ op: "add", path: formatPointer(path), value } as const]
        : changesAt(path, old, value);
    }),
  ];
}

function operationsOf(patch: unknown): readonly PatchOperation[] {
  if (!Array.isArray(patch)) throw refusal("a patch is an array");
  if (patch.length > LIMITS.toolPatchOperations) throw refusal("the patch has too many operations");
  return patch.map(parseOperation);
}

function parseOperation(operation: unknown): PatchOperation {
  if (typeof operation !== "object" || operation === null) throw refusal("an operation is an object");
  const fields: ReadonlyMap<string, unknown> = new Map(Object.entries(operation));
  const [op, path, value] = [fields.get("op"), fields.get("path"), fields.get("value")];
  if (typeof path !== "string") throw refusal("an operation has a path");
  if (op === "remove") return { op, path };
  if (op !== "add" && op !== "replace") throw refusal("an operation is add, replace or remove");
  if (isJsonValue(value, LIMITS.toolDocumentDepth)) return { op, path, value };
  throw refusal("an operation's value is missing, not JSON, or too deep");
}

function applyOperation(document: JsonValue, operation: PatchOperation): JsonValue {
  const tokens = parsePointer(operation.path);
  if (tokens === undefined) throw refusal("a path is not a JSON Pointer");
  return changed(document, tokens, operation);
}

/** `value` with the operation done at the end of `tokens`; what lies beside the way is shared. */
function changed(value: JsonValue, tokens: readonly string[], operation: PatchOperation): JsonValue {
  const [token, ...rest] = tokens;
  if (token === undefined) return replaced(operation);
  if (isJsonArray(value)) return changedArray(value, token, { rest, operation });
  if (!isJsonObject(value)) throw refusal("a path leads through a value that has no members");
  const member = memberOf(value, token);
  if (member === undefined && (rest.length > 0 || operation.op !== "add"))
    throw refusal("a path leads nowhere");
  if (rest.length > 0 && member !== undefined)
    return withMember(value, token, changed(member, rest, operation));
  return operation.op === "remove" ? withoutMember(value, token) : withMember(value, token, operation.value);
}

function replaced(operation: PatchOperation): JsonValue {
  if (operation.op === "remove") throw refusal("the whole document cannot be removed");
  return operation.value;
}

interface Change {
  readonly rest: readonly string[];
  readonly operation: PatchOperation;
}

function changedArray(array: readonly JsonValue[], token: string, { rest, operation }: Change): JsonValue {
  const isAdding = rest.length === 0 && operation.op === "add";
  const index = indexOf(token, isAdding ? array.length : array.length - 1, array.length);
  if (rest.length > 0) return array.with(index, changed(array[index] ?? null, rest, operation));
  if (operation.op === "remove") return array.toSpliced(index, 1);
  return isAdding ? array.toSpliced(index, 0, operation.value) : array.with(index, operation.value);
}

/** `-` is the place after the last (RFC 6902 §4.1). */
function indexOf(token: string, max: number, end: number): number {
  const index = token === "-" ? end : /^(?:0|[1-9]\d{0,8})$/.test(token) ? Number(token) : -1;
  if (index < 0 || index > max) throw refusal("a path leads nowhere");
  return index;
}

function memberOf(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** `fromEntries` defines what `object[name] = value` would take for a new prototype. */
function withMember(object: JsonObject, name: string, value: JsonValue): JsonObject {
  const entries = new Map(Object.entries(object)).set(name, value);
  return Object.fromEntries(entries);
}

function withoutMember(object: JsonObject, name: string): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([other]) => other !== name));
}

function refusal(message: string): GatehouseError<"rpc.bad-message"> {
  return new GatehouseError("rpc.bad-message", message, { hint: "fetch the whole document again" });
}
