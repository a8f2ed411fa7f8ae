import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lockHome, readSmallFile } from "../../src/files/index.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-lock-"));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

interface Program {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
}

function start(name: string, argument: string): Program {
  const program = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program, argument], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, lines };
}

async function nextLine({ lines }: Program): Promise<string | undefined> {
  const { value, done } = await lines.next();
  return done === true ? undefined : value;
}

describe("the home's lock", () => {
  it("is refused to everybody while one holds it, and free again when given back", async () => {
    const path = join(dir, "own");
    const holder = await lockHome(path);
    await expect(lockHome(path)).rejects.toMatchObject({
      code: "home.in-use",
      message: `process ${process.pid} is using this home`,
    });
    await holder[Symbol.asyncDispose]();
    await holder[Symbol.asyncDispose]();
    await using again = await lockHome(path);
    expect(again).toBeDefined();
  });

  it("names the process that holds it, and dies with it", async () => {
    const path = join(dir, "theirs");
    const holder = start("lock-holder", path);
    expect(await nextLine(holder)).toBe("held");
    await expect(lockHome(path)).rejects.toMatchObject({
      code: "home.in-use",
      message: `process ${holder.child.pid} is using this home`,
    });
    holder.child.kill("SIGKILL");
    await once(holder.child, "exit");
    await using lock = await lockHome(path);
    expect(lock).toBeDefined();
  });

  it("cannot be taken in a directory that is missing", async () => {
    await expect(lockHome(join(dir, "none", "lock"))).rejects.toMatchObject({ code: "file.not-found" });
  });
});

describe("several processes creating one file", () => {
  it("end with one that was first, and its whole content", async () => {
    const path = join(dir, "raced");
    const programs = [1, 2, 3].map(() => start("creator", path));
    for (const program of programs) expect(await nextLine(program)).toBe("ready");
    for (const { child } of programs) child.stdin?.write("go");
    const outcomes = await Promise.all(programs.map(nextLine));
    const winner = programs[outcomes.indexOf("created")];
    expect(outcomes.filter((outcome) => outcome === "exists")).toHaveLength(2);
    expect(await readSmallFile(path)).toEqual(new Uint8Array(100_000).fill((winner?.child.pid ?? 0) % 256));
  });
});
