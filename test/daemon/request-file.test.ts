import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuthorizationRequest, Decision, RequestRecorder } from "../../src/authz/index.ts";
import { type Logger, Resources, silentLogger, systemRandom } from "../../src/core/index.ts";
import { RequestFile } from "../../src/daemon/request-file.ts";
import { openStorage } from "../../src/daemon/storage.ts";
import { homeLayout } from "../../src/files/index.ts";
import { idOf, World } from "../services/support.ts";

const FIVE_MINUTES_MS = 300_000;
const DECISION: Decision = { kind: "deny", policies: ["a/b"], reason: "", isMemoised: false };

let world: World;
let dir: string;
let warnings: string[];

beforeEach(async () => {
  world = await World.open();
  dir = await mkdtemp(join(tmpdir(), "gatehouse-requests-"));
  warnings = [];
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const path = () => join(dir, "requests");
const logger: Logger = { ...silentLogger, warn: (event) => void warnings.push(event) };
const open = (vault = world.parts.vault) =>
  RequestFile.open(path(), { vault, clock: world.parts.clock, logger });

function note(recorder: RequestRecorder, secret: string): void {
  const request: AuthorizationRequest = {
    principal: { deviceId: idOf("phone"), name: "canary-phone", roles: ["member"] },
    action: "secret:reveal",
    resource: { kind: "secret", path: secret },
    context: {
      wire: "quic",
      timeMs: world.parts.clock.now(),
      isEarlyData: false,
      remoteAddress: "192.0.2.7",
    },
  };
  recorder.note(request, DECISION);
}

/** What a life of the daemon leaves that saw such requests. */
async function left(...secrets: readonly string[]): Promise<Uint8Array> {
  await using file = await open();
  for (const secret of secrets) note(file.recorder, secret);
  await file[Symbol.asyncDispose]();
  return await readFile(path());
}

async function known(vault = world.parts.vault): Promise<readonly string[]> {
  await using file = await open(vault);
  return file.recorder.recorded().map(({ request, count, decision }) => {
    const name = request.resource.kind === "secret" ? request.resource.path : "";
    return `${name} ${count} ${decision.kind} ${decision.policies.join()}`;
  });
}

describe("what policies were asked lately", () => {
  it("is there again after the daemon, and the vault, were opened anew", async () => {
    await left("canary/a", "canary/b", "canary/a");
    const expected = ["canary/b 1 deny a/b", "canary/a 2 deny a/b"];
    expect(await known()).toEqual(expected);
    world = await world.restart();
    expect(await known()).toEqual(expected);
    expect(warnings).toEqual([]);
  });

  it("lies on disk sealed, for its owner alone", async () => {
    const bytes = await left("canary/a");
    expect(Buffer.from(bytes).includes("canary")).toBe(false);
    expect(Buffer.from(bytes).includes("192.0.2.7")).toBe(false);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
    await using resources = new Resources();
    const effects = { clock: world.parts.clock, random: systemRandom, logger };
    const input = { keyDir: join(dir, "keys"), mode: "create" } as const;
    const stranger = await openStorage(homeLayout(join(dir, "home")), input, effects, resources);
    expect(await known(stranger.vault)).toEqual([]);
    expect(warnings).toEqual(["policy-requests-dropped"]);
  });

  it("begins anew when it is not there, or damaged in any place", async () => {
    expect(await known()).toEqual([]);
    expect(warnings).toEqual([]);
    const bytes = await left("canary/a");
    const places = Array.from({ length: bytes.length }, (_, index) => index).filter(
      (index) => index % 7 === 0,
    );
    for (const index of places) {
      await writeFile(path(), bytes.with(index, (bytes[index] ?? 0) ^ 1));
      expect(await known()).toEqual([]);
      await writeFile(path(), bytes.subarray(0, index));
      expect(await known()).toEqual([]);
    }
    await writeFile(path(), Buffer.concat([bytes, Buffer.of(0)]));
    expect(await known()).toEqual([]);
    expect(warnings).toHaveLength(2 * places.length + 1);
    await writeFile(path(), bytes);
    expect(await known()).toEqual(["canary/a 1 deny a/b"]);
  });

  it("is written down every five minutes at most, and only when something was asked", async () => {
    const written = async () => (await readFile(path()).catch(() => Buffer.of())).length > 0;
    await using file = await open();
    note(file.recorder, "canary/a");
    world.parts.clock.advance(FIVE_MINUTES_MS - 1);
    await file.look();
    expect(await written()).toBe(false);
    world.parts.clock.advance(1);
    await file.look();
    expect(await written()).toBe(true);
    await rm(path());
    world.parts.clock.advance(FIVE_MINUTES_MS);
    await file.look();
    expect(await written()).toBe(false);
    note(file.recorder, "canary/a");
    await file.look();
    expect(await written()).toBe(false);
    world.parts.clock.advance(FIVE_MINUTES_MS);
    await file.look();
    expect(await written()).toBe(true);
  });

  it("that cannot be written down stops nothing", async () => {
    const file = await open();
    note(file.recorder, "canary/a");
    await rm(dir, { recursive: true });
    await file[Symbol.asyncDispose]();
    expect(warnings).toEqual(["policy-requests-not-kept"]);
  });
});
