import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { homeLayout, lockHome } from "../../src/files/index.ts";
import { type Daemon, Install, parseObject } from "../support/gatehouse-process.ts";
import { runHere } from "./support.ts";

describe("serve --supervise", () => {
  let install: Install;
  beforeEach(async () => {
    install = await Install.create();
  });
  afterEach(() => install[Symbol.asyncDispose]());

  /** The process that has the door open. */
  const doorPid = (): number => {
    const { pid } = parseObject(readFileSync(homeLayout(install.home).endpointFile, "utf8"));
    return Number(pid);
  };
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };
  const serve = (...args: string[]): Promise<Daemon> => install.serve(["--supervise", ...args]);

  it("opens the door again after SIGKILL, without a second pairing window", async () => {
    await using daemon = await serve("--init", "--open-pairing");
    await daemon.event("pairing-open");
    const first = doorPid();
    expect(first).not.toBe(daemon.pid);
    process.kill(first, "SIGKILL");
    await daemon.event("ready", 2);
    expect(isAlive(first)).toBe(false);
    expect(doorPid()).not.toBe(first);
    expect(await install.json(["status"])).toMatchObject({ state: "serving" });
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect(daemon.events.filter(({ event }) => event === "pairing-open")).toHaveLength(1);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("%s ends both in order", async (signal) => {
    await using daemon = await serve("--init");
    const door = doorPid();
    expect(await daemon.stop(signal)).toBe(0);
    expect(isAlive(door)).toBe(false);
    expect(daemon.stderr).toContain("stopping");
  });

  it("does not leave the door behind when it is killed itself", async () => {
    await using daemon = await serve("--init");
    process.kill(daemon.pid, "SIGKILL");
    // Settles once nobody holds the other end of its output any more, the door included.
    expect(await daemon.ended()).toBeNull();
    const lock = await lockHome(homeLayout(install.home).lockFile);
    await lock[Symbol.asyncDispose]();
    expect(daemon.stderr).toContain("stopping");
  });

  it("ends with what would only end the door again", async () => {
    expect(await install.outcome(["serve", "--supervise"])).toEqual({
      exit: 3,
      code: "home.not-initialized",
    });
    await using daemon = await serve("--init");
    const again = ["serve", "--supervise", "--listen", "127.0.0.1:0"];
    expect(await install.outcome(again)).toEqual({ exit: 7, code: "home.in-use" });
    expect(daemon.isRunning).toBe(true);
  });

  it("is what the first process of a container does unasked: nobody inside could end it", async () => {
    // Stands for the program: says by its exit code with which words it was started.
    const code = "process.exit(process.argv.slice(1).join(' ') === 'serve --supervised first' ? 9 : 1)";
    const self = [process.execPath, "-e", code];
    expect(await runHere(["serve"], { pid: 1, self })).toMatchObject({ exitCode: 9 });
  });

  it("is needed for the process that it starts", async () => {
    const alone = await install.outcome(["serve", "--supervised", "first"]);
    expect(alone).toEqual({ exit: 2, code: "usage.bad-argument" });
    expect((await install.run(["serve", "--help"])).stdout.toString()).not.toContain("--supervised");
  });
});
