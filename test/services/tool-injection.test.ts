import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { Deploys } from "./deploys.ts";

let deploys: Deploys;

beforeAll(async () => {
  deploys = await Deploys.open();
});

afterAll(() => deploys[Symbol.asyncDispose]());

const call = (given: Readonly<Record<string, string>>) => ({
  arguments: { environment: "production", ...given },
});

const UNFIT: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ["an option", { ref: "--upload-pack=touch /tmp/x" }],
  ["a short option", { ref: "-c" }],
  ["a dash alone", { ref: "-" }],
  ["a newline", { ref: "main\nevil" }],
  ["a carriage return", { ref: "main\revil" }],
  ["a line separator", { ref: "main\u2028evil" }],
  ["NUL", { ref: "main\0evil" }],
  ["an escape sequence", { ref: "\u001b[2Jmain" }],
  ["text that is shown backwards", { ref: "main\u202elive" }],
  ["a way up", { release: "../../etc/passwd" }],
  ["a way up in the middle", { release: "a/../../b" }],
  ["nothing", { ref: "" }],
  ["one character too many", { ref: "x".repeat(65) }],
  ["a megabyte", { ref: "x".repeat(1_000_000) }],
  ["a choice that is none", { environment: "Production" }],
  ["a choice with a blank", { environment: "production " }],
  ["no number", { replicas: "three" }],
  ["a number with a tail", { replicas: "1; rm" }],
  ["a number outside", { replicas: "10" }],
  ["a negative number", { replicas: "-1" }],
  ["a fraction", { replicas: "1.5" }],
  ["a number in another base", { replicas: "0x5" }],
  ["no switch", { dry: "yes" }],
  ["an unknown argument", { force: "true" }],
  ["an argument of the prototype", { constructor: "x" }],
];

describe("a value", () => {
  it.each(UNFIT)("that is %s is refused before anybody is asked, and nothing runs", async (_what, given) => {
    const before = deploys.runs().length;
    expect(await deploys.run("phone", call(given))).toBe("tool.bad-argument");
    expect(await deploys.run("owner", call(given))).toBe("tool.bad-argument");
    expect(deploys.runs()).toHaveLength(before);
    const { approvals } = await deploys.world.call("owner", METHODS.Approvals.List, { includeEnded: true });
    expect(approvals).toEqual([]);
  });

  it("that is missing is refused", async () => {
    expect(await deploys.run("owner", { arguments: {} })).toBe("tool.bad-argument");
    expect(await deploys.run("owner", { arguments: { ref: "main" } })).toBe("tool.bad-argument");
    expect(deploys.runs()).toEqual([]);
  });

  it("never comes back in the failure, nor in the audit log", async () => {
    const failure = await deploys
      .stream("owner", call({ ref: "--canary-7713\n" }))
      .next()
      .catch((thrown: unknown) => thrown);
    expect(failure).toMatchObject({ code: "tool.bad-argument", message: expect.stringContaining("ref") });
    const audited = JSON.stringify((await deploys.world.audited()).map(({ event }) => event));
    expect(`${String(failure)} ${JSON.stringify(failure)} ${audited}`).not.toContain("canary-7713");
    const [last] = (await deploys.world.auditLines()).slice(-1);
    expect(last).toBe("owner tool:run tool:deploy failed tool.bad-argument");
  });

  it("that is unfit is told to who may list the tool only", async () => {
    const given = call({ ref: "--x" });
    const told = (name: string) =>
      deploys
        .stream(name, given)
        .next()
        .catch((thrown: unknown) => thrown);
    const toGuest = await told("guest");
    expect(toGuest).toMatchObject({ code: "authz.denied" });
    const [last] = (await deploys.world.auditLines()).slice(-1);
    expect(last).toBe("guest tool:run tool:deploy denied authz.denied");
    expect(JSON.stringify(toGuest)).not.toContain("ref");
  });

  it("with half a character is no message at all", async () => {
    const before = deploys.runs();
    expect(await deploys.run("owner", call({ ref: "a\ud800b" }))).toBe("rpc.bad-message");
    expect(deploys.runs()).toEqual(before);
  });

  it("that means something to a shell is a plain argument", async () => {
    const ref = "$(touch /tmp/x);`id`|&>\"'*";
    expect(await deploys.run("owner", call({ ref }))).toBe("exited 0");
    expect(deploys.runs().at(-1)).toBe(`production|${ref}|/srv/next|1|false`);
  });
});
