/** Resources as people and the audit log write them: `secret:shared/db`, `tool:deploy`, `gatehouse`. */
import type { Resource } from "../authz/index.ts";
import { GatehouseError } from "../core/index.ts";
import { parseFolderPath, parseSecretPath } from "../vault/index.ts";
import { parsePolicyId } from "./names.ts";
import { ALL_POLICIES, type SubjectContext } from "./subject.ts";

export function resourceName(resource: Resource): string {
  switch (resource.kind) {
    case "gatehouse":
    case "device":
    case "policy":
      return `${resource.kind}:${resource.id}`;
    case "secret":
    case "folder":
      return `${resource.kind}:${resource.path}`;
    case "tool":
    case "profile":
      return `${resource.kind}:${resource.name}`;
    case "audit-log":
      return resource.kind;
  }
}

/**
 * What somebody means by `text`; `gatehouse` needs no id. A device is found by id, prefix or name, a tool by its name.
 * @throws usage.bad-argument, device.not-found, device.ambiguous, tool.not-found
 */
export function parseResourceName(
  text: string,
  { gatehouseId, findDevice, findTool }: Pick<SubjectContext, "gatehouseId" | "findDevice" | "findTool">,
): Resource {
  const colon = text.indexOf(":");
  const kind = colon === -1 ? text : text.slice(0, colon);
  const name = colon === -1 ? "" : text.slice(colon + 1);
  switch (kind) {
    case "gatehouse":
      return { kind, id: gatehouseId };
    case "audit-log":
      return { kind };
    case "secret":
      return { kind, path: parseSecretPath(name) };
    case "folder":
      return { kind, path: parseFolderPath(name) };
    case "device":
      return { kind, ...findDevice(name) };
    case "tool": {
      const { name: tool, groups } = findTool(name);
      return { kind, name: tool, groups };
    }
    case "policy":
      return { kind, id: name === ALL_POLICIES ? name : parsePolicyId(name) };
    case "profile":
      return { kind, name: parseProfileName(name) };
    default:
      throw notAResource();
  }
}

/** Profiles are not there yet; policies may speak of them. */
function parseProfileName(name: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) return name;
  throw notAResource();
}

function notAResource(): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", "not a resource", {
    hint: "write secret:PATH, folder:PATH, device:NAME, tool:NAME, profile:NAME, policy:ID, audit-log or gatehouse",
  });
}
