import { describe, expect, it } from "vitest";
import { Authorizer, loadDefaultSchema, type PolicyLink, type PolicySource } from "../../src/authz/index.ts";
import { request } from "./fixture.ts";

const TEMPLATES = `
  @id("read") permit (principal in ?principal, action in Action::"read", resource in ?resource);
  @id("never") forbid (principal in ?principal, action, resource) when { context has role && context.role == "x" };
  @id("plain") permit (principal, action == Action::"audit:read", resource);`;

const MEMBERS = { type: "Role", id: "member" };
const SHARED = { type: "Folder", id: "shared" };
const reading: PolicyLink = {
  id: "members-read",
  template: "ops/read",
  principal: MEMBERS,
  resource: SHARED,
};

async function opened(...links: readonly PolicySource[]): Promise<Authorizer> {
  return Authorizer.open({
    schema: await loadDefaultSchema(),
    policies: [{ id: "ops", text: TEMPLATES }, ...links],
  });
}

describe("a template", () => {
  it("decides nothing until a link fills it in, and then under the link's id", async () => {
    const authorizer = await opened();
    expect(authorizer.decide(request())).toMatchObject({ kind: "deny", policies: [] });
    authorizer.replace(await authorizer.candidate([reading, { id: "ops", text: TEMPLATES }]));
    expect(authorizer.decide(request())).toMatchObject({
      kind: "allow",
      policies: ["members-read"],
      reason: "allowed by members-read",
    });
    const elsewhere = request({ resource: { kind: "secret", path: "other/db" } });
    expect(authorizer.decide(elsewhere).kind).toBe("deny");
  });

  it("may be linked many times, each link being a policy of its own", async () => {
    const other = { ...reading, id: "guests-read", principal: { type: "Role", id: "guest" } };
    const authorizer = await opened(reading, other);
    const both = request({ principal: { ...request().principal, roles: ["guest", "member"] } });
    expect(authorizer.decide(both).policies).toEqual(["guests-read", "members-read"]);
  });

  it("forbids through a link as any policy does", async () => {
    const authorizer = await opened(reading, { id: "stop", template: "ops/never", principal: MEMBERS });
    const giving = (role: string) => authorizer.decide(request({ context: { ...request().context, role } }));
    expect(giving("x")).toMatchObject({ kind: "deny", policies: ["stop"] });
    expect(giving("y")).toMatchObject({ kind: "allow", policies: ["members-read"] });
  });

  it("counts among what the set asks of the context", async () => {
    expect((await opened()).mentions("role")).toBe(true);
    expect((await opened()).mentions("approval")).toBe(false);
  });

  it("shows in a link's text with its slots filled in, and nothing else that looks like one", async () => {
    const text = `@id("t") @description("of ?principal") // not ?principal
      permit (principal in ?principal, action, resource == ?resource);`;
    const link: PolicyLink = {
      id: "l",
      template: "s/t",
      principal: { type: "Role", id: 'a"b\\c\n' },
      resource: { type: "Policy", id: "?principal" },
    };
    const policies = [{ id: "s", text }, link];
    const authorizer = await Authorizer.open({ schema: await loadDefaultSchema(), policies });
    expect(authorizer.policies()).toMatchObject([
      { kind: "template" },
      { id: "l", kind: "link", effect: "permit" },
    ]);
    expect(authorizer.policies()[1]?.text).toBe(`@id("t") @description("of ?principal") // not ?principal
      permit (principal in Role::"a\\"b\\\\c\\u{a}", action, resource == Policy::"?principal");`);
    const asked = request({
      action: "policy:read",
      resource: { kind: "policy", id: "?principal" },
      principal: { ...request().principal, roles: ['a"b\\c\n'] },
    });
    expect(authorizer.decide(asked)).toMatchObject({ kind: "allow", policies: ["l"] });
  });
});

describe("a link", () => {
  it.each<readonly [string, PolicySource, RegExp]>([
    [
      "to a template that is not there",
      { ...reading, template: "ops/nope" },
      /^members-read: there is no template "ops\/nope"$/,
    ],
    ["to a source", { ...reading, template: "ops" }, /no template "ops"/],
    [
      "to a policy without slots",
      { ...reading, template: "ops/plain" },
      /ops\/plain is a policy and no template/,
    ],
    [
      "that leaves a slot open",
      { id: "l", template: "ops/read", principal: MEMBERS },
      /ops\/read has \?resource, which the link does not/,
    ],
    [
      "that fills in a slot that is not there",
      { ...reading, template: "ops/never" },
      /ops\/never has no \?resource/,
    ],
    [
      "with a type that is none",
      { ...reading, principal: { type: "Ro le", id: "x" } },
      /\?principal names no entity/,
    ],
    [
      "with a type that the schema has not",
      { ...reading, principal: { type: "Rule", id: "x" } },
      /^members-read: unrecognized entity type `Rule`/,
    ],
    [
      "with an id of half a character",
      { ...reading, principal: { type: "Role", id: "\ud800" } },
      /names no entity/,
    ],
    [
      "with an id past its bound",
      { ...reading, principal: { type: "Role", id: "x".repeat(1_025) } },
      /names no entity/,
    ],
    ["with an id that is none", { ...reading, id: "A b" }, /source's id/],
    ["with the id of another source", { ...reading, id: "ops" }, /two sources with the id ops/],
  ])("%s is refused", async (_, link, message) => {
    await expect(opened(link)).rejects.toMatchObject({
      code: "authz.invalid-policy",
      message: expect.stringMatching(message),
    });
  });

  it("with the id of a policy is refused", async () => {
    const single: PolicySource = { id: "members-read", text: "permit (principal, action, resource);" };
    await expect(opened(reading, single)).rejects.toThrow(/two sources with the id members-read/);
  });

  it("to a template that does not fit the schema does not load, and the old set stays", async () => {
    const authorizer = await opened(reading);
    const text = '@id("read") permit (principal in ?principal, action, resource) when { context.foo };';
    await expect(authorizer.candidate([{ id: "ops", text }])).rejects.toThrow(/^ops\/read: attribute `foo`/);
    const deep = `@id("t") permit (principal in ?principal, action, resource) when { ${"true || ".repeat(150)}true };`;
    await expect(authorizer.candidate([{ id: "ops", text: deep }])).rejects.toThrow(/nested too deep/);
    expect(authorizer.decide(request()).kind).toBe("allow");
  });

  it("cannot make one long template into many megabytes", async () => {
    const text = `@id("t") permit (principal in ?principal, action, resource) when { "${"x".repeat(15_000)}" == "" };`;
    const links = Array.from({ length: 300 }, (_, index) => ({
      id: `l${index}`,
      template: "s/t",
      principal: MEMBERS,
    }));
    const open = async () =>
      Authorizer.open({ schema: await loadDefaultSchema(), policies: [{ id: "s", text }, ...links] });
    await expect(open()).rejects.toThrow(/over 4194304 bytes together/);
  });

  it("is bounded in number by its own bytes", async () => {
    const links = Array.from({ length: 5_000 }, (_, index) => ({ ...reading, id: `l${index}` }));
    await expect(opened(...links)).rejects.toThrow(/at most 262144 are taken/);
  });
});
