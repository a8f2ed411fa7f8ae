import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { Daemon, Install, isObject, type JsonObject, text } from "../support/gatehouse-process.ts";

const TOKEN = "sesame-3f9c1a";
/** Writes what it was given beside itself: the only witness that does not speak through the gatehouse. */
const SCRIPT =
  'echo "$1 $2" >> "$0"; printf "token %s\\n" "$DEPLOY_TOKEN"; printf %s "$DEPLOY_TOKEN" | base64; exit 7';

const resources = new Resources();
let hall: Install;
let runner: Install;
let phone: Install;
let files: string;

/** What `docs/policies.md` shows under that name. */
async function fromDocs(name: string): Promise<string> {
  const page = await readFile(new URL("../../docs/policies.md", import.meta.url), "utf8");
  const [, block] = page.split(`${name} -->`);
  const [, found] = /```\w+\n(.*?)```/su.exec(block ?? "") ?? [];
  if (found === undefined) throw new Error(`docs/policies.md does not show ${name}`);
  return found;
}

async function pair(role: string, name: string): Promise<Install> {
  await using window = new Daemon(hall.spawn(["pair", "open", "--role", role, "--json"]));
  const { uri } = await window.event("open");
  const install = resources.use(await Install.create());
  await install.json(["pair", "join", text(uri), "--name", name]);
  return install;
}

async function ran(): Promise<string> {
  return await readFile(join(files, "ran"), "utf8").catch(() => "");
}

function deploy(environment: string): string[] {
  return ["tool", "run", "deploy", "--arg", `environment=${environment}`];
}

beforeAll(async () => {
  hall = resources.use(await Install.create());
  files = hall.root;
  await hall.json(["init", "--name", "home"]);
  const tool = [
    "[tools.deploy]",
    `command = ${JSON.stringify(["/bin/sh", "-c", SCRIPT, join(files, "ran"), "{environment}", "{ref}"])}`,
    "allow_same_user = true",
    'secrets = { DEPLOY_TOKEN = "ci/deploy-token" }',
    "[tools.deploy.parameters.environment]",
    'type = "choice"',
    'choices = ["staging", "production"]',
    "[tools.deploy.parameters.ref]",
    'type = "string"',
    'pattern = "[a-z0-9._/-]+"',
    'default = "main"',
  ];
  await writeFile(join(hall.home, "config.toml"), `${tool.join("\n")}\n`, { mode: 0o600 });
  resources.use(await hall.serve());
  [runner, phone] = [await pair("ci", "runner"), await pair("release", "phone")];
  await hall.json(["vault", "put", "ci/deploy-token"], TOKEN);
  for (const name of ["deploy.cedar", "deploy.test.json"]) {
    await writeFile(join(files, name), await fromDocs(name));
  }
}, 60_000);

afterAll(() => resources[Symbol.asyncDispose]());

it("walks as docs/policies.md does: check, test, shadow, put, deny, approve, run, audit, roll back", async () => {
  const [policy, table] = [join(files, "deploy.cedar"), join(files, "deploy.test.json")];
  expect(await hall.json(["policy", "check", policy])).toEqual({ findings: [] });
  expect(await hall.json(["policy", "test", table, policy])).toMatchObject({ passed: 3, failed: 0 });
  await writeFile(
    join(files, "wrong.cedar"),
    (await fromDocs("deploy.cedar")).replace('"production"', '"staging"'),
  );
  const wrong = await hall.run(["policy", "test", table, join(files, "wrong.cedar"), "--json"]);
  expect(wrong).toMatchObject({ exitCode: 7, document: { passed: 1, failed: 2 } });

  // Before anybody wrote a policy for it.
  expect(await runner.outcome(deploy("production"))).toEqual({ exit: 4, code: "authz.denied" });
  const shadow = await hall.json(["policy", "put", "deploy", "--file", policy, "--shadow"]);
  expect(shadow).toMatchObject({ changed: [] });
  expect((await hall.json(["policy", "ls"]))["set"]).toBe(0);
  expect(await hall.json(["policy", "put", "deploy", "--file", policy])).toMatchObject({ set: 1 });

  expect(await runner.outcome(deploy("staging"))).toEqual({ exit: 4, code: "authz.denied" });
  const why = await hall.run(["policy", "explain", "--last", "runner"]);
  expect(why.stdout.toString()).toContain(
    'needs context.arguments.getTag("environment") == "production"; it is "staging"',
  );
  expect(await runner.outcome([...deploy("production"), "--arg", "ref=--force"])).toMatchObject({
    code: "tool.bad-argument",
  });
  expect(await ran()).toBe("");

  const calling = runner.run([...deploy("production"), "--reason", "release 1.4"]);
  const id = text((await vi.waitUntil(waitingCall, { timeout: 20_000, interval: 200 }))["id"]);
  expect((await runner.run(["approval", "approve", id])).exitCode).toBe(4);
  expect(await ran()).toBe("");
  expect(await phone.json(["approval", "approve", id, "--yes"])).toMatchObject({ state: "approved" });
  const call = await calling;
  expect(call.exitCode).toBe(7);
  expect(call.stdout.toString()).toBe("token [secret]\n[secret]\n");
  expect(await ran()).toBe("production main\n");
  const again = await runner.outcome([...deploy("production"), "--approval", id]);
  expect(again).toMatchObject({ code: "approval.used" });

  const log = await hall.run(["audit", "tail", "--lines", "200", "--json"]);
  const events = log.stdout.toString().trimEnd().split("\n").map(parsed);
  const told = events.map(({ principalName, action, outcome }) => [principalName, action, outcome].join(" "));
  for (const line of [
    ...["home policy:write done", "runner tool:run denied", "phone approval:decide done"],
    ...["runner secret:use allowed", "runner tool:run done"],
  ]) {
    expect(told).toContain(line);
  }
  expect(log.stdout.toString()).not.toContain(TOKEN);

  expect(await hall.json(["policy", "rollback", "0"])).toMatchObject({ set: 2 });
  expect(await runner.outcome(deploy("production"))).toEqual({ exit: 4, code: "authz.denied" });
  expect(await ran()).toBe("production main\n");
}, 120_000);

async function waitingCall(): Promise<JsonObject | undefined> {
  const { approvals } = await phone.json(["approval", "ls"]);
  const [first] = Array.isArray(approvals) ? approvals : [];
  return isObject(first) ? first : undefined;
}

function parsed(line: string): JsonObject {
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) throw new Error(`not an object: ${line}`);
  return value;
}
