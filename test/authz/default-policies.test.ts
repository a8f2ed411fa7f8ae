import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { ACTIONS, type Action, type Authorizer, type Resource } from "../../src/authz/index.ts";
import { defaultAuthorizer, idOf, request } from "./fixture.ts";

interface Row {
  readonly who: string;
  readonly may: Action;
  readonly is: "allow" | "deny";
  readonly by?: string;
  readonly secret?: string;
  readonly folder?: string;
  readonly device?: string;
  readonly policy?: string;
  readonly tool?: string;
  readonly profile?: string;
  readonly auditLog?: true;
}

interface Table {
  readonly gatehouse: string;
  readonly devices: Readonly<Record<string, { readonly role: string }>>;
  readonly decisions: readonly Row[];
}

const table = JSON.parse(
  readFileSync(new URL("../../schemas/cedar/default.test.json", import.meta.url), "utf8"),
) as Table;

const filled = (path: string): string => path.replace(/\{(\w+)\}/g, (_, name: string) => idOf(name));
const roleOf = (device: string): string => table.devices[device]?.role ?? "no such device in the table";

function resourceOf(row: Row): Resource {
  if (row.secret !== undefined) return { kind: "secret", path: filled(row.secret) };
  if (row.folder !== undefined) return { kind: "folder", path: filled(row.folder) };
  if (row.device !== undefined) return { kind: "device", id: idOf(row.device), roles: [roleOf(row.device)] };
  if (row.policy !== undefined) return { kind: "policy", id: row.policy };
  if (row.tool !== undefined) return { kind: "tool", name: row.tool };
  if (row.profile !== undefined) return { kind: "profile", name: row.profile };
  return row.auditLog === true ? { kind: "audit-log" } : { kind: "gatehouse", id: idOf(table.gatehouse) };
}

describe("the default policies", () => {
  let authorizer: Authorizer;

  beforeAll(async () => {
    authorizer = await defaultAuthorizer();
  });

  it.each(table.decisions.map((row) => [JSON.stringify(row), row] as const))("decide %s", (_, row) => {
    const principal = { deviceId: idOf(row.who), roles: [roleOf(row.who)] };
    const decision = authorizer.decide(request({ principal, action: row.may, resource: resourceOf(row) }));
    expect(decision.kind).toBe(row.is);
    expect(decision.policies).toEqual(row.by === undefined ? [] : [row.by]);
  });

  it("let an owner do everything that fits the schema, and a role nobody knows nothing but reach", () => {
    const resources: readonly Resource[] = [
      { kind: "gatehouse", id: idOf("gatehouse") },
      { kind: "secret", path: "a/b" },
      { kind: "folder", path: "" },
      { kind: "device", id: idOf("node"), roles: ["member"] },
      { kind: "audit-log" },
      { kind: "policy", id: "default" },
      { kind: "tool", name: "deploy" },
      { kind: "profile", name: "github" },
    ];
    const allowed = (role: string): Set<Action> =>
      new Set(
        ACTIONS.filter((action) =>
          resources.some(
            (resource) =>
              authorizer.decide(
                request({ principal: { deviceId: idOf("x"), roles: [role] }, action, resource }),
              ).kind === "allow",
          ),
        ),
      );
    expect(allowed("owner")).toEqual(new Set(ACTIONS));
    expect(allowed("stranger")).toEqual(new Set(["gatehouse:ping", "gatehouse:status"]));
    expect(allowed("")).toEqual(new Set(["gatehouse:ping", "gatehouse:status"]));
  });

  it("give a device its folder only in the canonical spelling of its id", () => {
    const own = (id: string) =>
      authorizer.decide(
        request({ action: "secret:write", resource: { kind: "secret", path: `devices/${id}/token` } }),
      ).kind;
    const id = idOf("phone");
    expect(own(id)).toBe("allow");
    expect(own(id.toUpperCase())).toBe("deny");
    expect(own(`${id.slice(0, 28)}-${id.slice(28)}`)).toBe("deny");
    expect(own(id.slice(0, 55))).toBe("deny");
  });
});
