import { describe, expect, it } from "vitest";
import { parsePolicyTable, runPolicyTable } from "../../src/authz/index.ts";
import { authorizerOf, idOf } from "./fixture.ts";

const DECISION = { who: "phone", may: "secret:reveal", secret: "shared/db", is: "deny" };

function table(decision: object = {}, rest: object = {}): unknown {
  return {
    gatehouse: "home",
    users: { ada: { roles: ["security"] } },
    devices: {
      home: { role: "owner" },
      phone: { roles: ["member", "deployer"], user: "ada", name: "Ada's" },
    },
    decisions: [{ ...DECISION, ...decision }],
    ...rest,
  };
}

describe("a policy table", () => {
  it("gives each row the request that it stands for", () => {
    const approval = { by: "home" };
    const extras = {
      wire: "grpc",
      remoteAddress: "192.0.2.7",
      isEarlyData: true,
      time: "2026-11-23T12:00:00.5Z",
    };
    const row = {
      may: "tool:run",
      secret: undefined,
      tool: "deploy",
      groups: ["production"],
      is: "allow",
      by: ["b", "a"],
    };
    const full = table({
      ...row,
      because: "x",
      with: { ...extras, approval, arguments: { a: "b" }, role: "guest" },
    });
    expect(parsePolicyTable(JSON.parse(JSON.stringify(full))).rows).toEqual([
      {
        index: 0,
        who: "phone",
        request: {
          principal: {
            deviceId: idOf("phone"),
            roles: ["member", "deployer"],
            name: "Ada's",
            user: { id: "ada", roles: ["security"] },
          },
          action: "tool:run",
          resource: { kind: "tool", name: "deploy", groups: ["production"] },
          context: {
            wire: "grpc",
            remoteAddress: "192.0.2.7",
            isEarlyData: true,
            timeMs: Date.UTC(2026, 10, 23, 12) + 500,
            approval: { id: "approval", decidedBy: { deviceId: idOf("home"), roles: ["owner"] } },
            arguments: { a: "b" },
            role: "guest",
          },
        },
        expected: { kind: "allow", policies: ["a", "b"], because: "x" },
      },
    ]);
  });

  it.each([
    [{ secret: "devices/{phone}/a" }, { kind: "secret", path: `devices/${idOf("phone")}/a` }],
    [{ folder: "devices/{home}" }, { kind: "folder", path: `devices/${idOf("home")}` }],
    [{ device: "home" }, { kind: "device", id: idOf("home"), roles: ["owner"] }],
    [{ tool: "deploy" }, { kind: "tool", name: "deploy" }],
    [{ profile: "github" }, { kind: "profile", name: "github" }],
    [{ policy: "default" }, { kind: "policy", id: "default" }],
    [{ gatehouse: true }, { kind: "gatehouse", id: idOf("home") }],
    [{ auditLog: true }, { kind: "audit-log" }],
  ])("reads what a row is about: %j", (about, resource) => {
    const { secret: _, ...decision } = DECISION;
    const [row] = parsePolicyTable(table({}, { decisions: [{ ...decision, ...about }] })).rows;
    expect(row?.request.resource).toEqual(resource);
  });

  it("takes a device id for that very device", () => {
    const id = idOf("somebody");
    const [row] = parsePolicyTable(table({ who: id }, { gatehouse: undefined, devices: { [id]: {} } })).rows;
    expect(row?.request.principal).toEqual({ deviceId: id, roles: [] });
  });

  const missing = { ...DECISION, who: undefined };
  it.each<readonly [unknown, string]>([
    [[], "is not an object"],
    [{ decisions: [] }, "has no devices"],
    [table({}, { comment: "x" }), 'has an unknown key "comment"'],
    [table({}, { decisions: {} }), "decisions: is not a list"],
    [table({}, { devices: { phone: { rol: "x" } } }), 'devices.phone: has an unknown key "rol"'],
    [table({}, { devices: { phone: { role: "a", roles: [] } } }), "devices.phone: has both role and roles"],
    [table({}, { devices: { phone: { roles: [1] } } }), "devices.phone.roles[0]: is not a text"],
    [
      table({}, { devices: { phone: { user: "bob" } } }),
      'devices.phone.user: there is no user "bob" in the table',
    ],
    [
      table({}, { devices: { phone: { user: "toString" } } }),
      'devices.phone.user: there is no user "toString" in the table',
    ],
    [table({}, { users: { "a b": {} } }), 'users."a b": has no roles'],
    [table({}, { decisions: [DECISION, missing] }), "decisions[1].who: is not a text"],
    [table({}, { decisions: [1] }), "decisions[0]: is not an object"],
    [table({}, { gatehouse: "nobody" }), 'gatehouse: there is no device "nobody" in the table'],
    [table({ who: "tablet" }), 'decisions[0].who: there is no device "tablet" in the table'],
    [table({ may: "secret:steal" }), 'decisions[0].may: is none: "secret:steal"'],
    [table({ is: "allowed" }), "decisions[0].is: is not one of allow, deny"],
    [
      table({ tool: "deploy" }),
      "decisions[0]: has not one of secret, folder, device, tool, profile, policy, gatehouse, auditLog",
    ],
    [table({ groups: ["a"] }), "decisions[0]: has groups, and no tool"],
    [table({ secret: "{nobody}/a" }), 'decisions[0].secret: there is no device "nobody" in the table'],
    [table({ secret: undefined, auditLog: false }), "decisions[0].auditLog: is not true"],
    [table({ by: [1] }), "decisions[0].by[0]: is not a text"],
    [table({ because: 1 }), "decisions[0].because: is not a text"],
    [table({ with: { wires: "quic" } }), 'decisions[0].with: has an unknown key "wires"'],
    [table({ with: { wire: "tcp" } }), "decisions[0].with.wire: is not one of quic, grpc"],
    [table({ with: { time: "noon" } }), "decisions[0].with.time: is not a time such as 2026-11-23T12:00:00Z"],
    [
      table({ with: { time: "2026-02-30T12:00:00Z" } }),
      "decisions[0].with.time: is not a time such as 2026-11-23T12:00:00Z",
    ],
    [table({ with: { isEarlyData: "no" } }), "decisions[0].with.isEarlyData: is neither true nor false"],
    [table({ with: { arguments: { a: 1 } } }), "decisions[0].with.arguments.a: is not a text"],
    [table({ with: { approval: { id: "x" } } }), "decisions[0].with.approval: has no by"],
    [
      table({}, { gatehouse: undefined, decisions: [{ ...DECISION, secret: undefined, gatehouse: true }] }),
      "decisions[0].gatehouse: the table does not say which device is the gatehouse",
    ],
    [
      table({}, { decisions: Array.from({ length: 1_001 }, () => DECISION) }),
      "decisions: has 1001 rows, at most 1000 are taken",
    ],
  ])("names the place of a mistake (%#)", (json, message) => {
    expect(() => parsePolicyTable(json)).toThrow(
      expect.objectContaining({ code: "usage.bad-argument", message: `not a policy table: ${message}` }),
    );
  });

  it("passes exactly the rows whose decision, policies and words are as expected", async () => {
    const authorizer = await authorizerOf({
      shared: 'permit (principal in Role::"member", action, resource in Folder::"shared");',
    });
    const expectations = [
      [{ is: "allow" }, true],
      [{ is: "allow", by: "shared" }, true],
      [{ is: "allow", by: [] }, false],
      [{ is: "allow", by: ["shared", "other"] }, false],
      [{ is: "deny" }, false],
      [{ is: "allow", because: "permits this" }, true],
      [{ is: "allow", because: "forbids this" }, false],
      [
        { secret: "other/a", is: "deny", by: [], because: "the secret other/a is not in the folder shared" },
        true,
      ],
      [{ secret: "other/a", is: "deny", because: "nobody approved" }, false],
    ] as const;
    const decisions = expectations.map(([row]) => ({ ...DECISION, ...row }));
    const results = runPolicyTable(parsePolicyTable(table({}, { decisions })), authorizer);
    expect(results.map(({ passed }) => passed)).toEqual(expectations.map(([, passed]) => passed));
    expect(results[0]).toMatchObject({
      index: 0,
      expected: { kind: "allow" },
      actual: { kind: "allow", policies: ["shared"] },
    });
    expect(results[8]?.explanation.words[1]).toBe("shared: the secret other/a is not in the folder shared");
  });
});
