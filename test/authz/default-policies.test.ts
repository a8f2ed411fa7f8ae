import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import {
  ACTIONS,
  type Action,
  type Authorizer,
  checkPolicies,
  loadDefaultPolicies,
  loadDefaultSchema,
  parsePolicyTable,
  type Resource,
  runPolicyTable,
} from "../../src/authz/index.ts";
import { defaultAuthorizer, idOf, request } from "./fixture.ts";

const TABLE = new URL("../../schemas/cedar/default.test.json", import.meta.url);
const table = parsePolicyTable(JSON.parse(readFileSync(TABLE, "utf8")));

describe("the default policies", () => {
  let authorizer: Authorizer;

  beforeAll(async () => {
    authorizer = await defaultAuthorizer();
  });

  it.each(table.rows.map((row) => [row.index, row] as const))(
    "decide row %i of their table as it says",
    (_, row) => {
      const [result] = runPolicyTable({ rows: [row] }, authorizer);
      expect(result).toMatchObject({ passed: true });
      // In this table a row without `by` says that no policy spoke.
      expect(result?.actual).toEqual({ kind: row.expected.kind, policies: row.expected.policies ?? [] });
      expect(authorizer.decide(row.request)).toMatchObject(result?.actual ?? {});
    },
  );

  it("give a linter nothing to say", async () => {
    const sources = await loadDefaultPolicies();
    expect(await checkPolicies({ schema: await loadDefaultSchema(), sources })).toEqual([]);
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
