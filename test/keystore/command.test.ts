import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { commandProvider } from "../../src/keystore/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { ID, KEY, KEY_HEX, keyHex, Place, shown } from "./support.ts";

const NONE = new Uint8Array();

describe("a key command", () => {
  it.each([
    ["raw bytes", KEY],
    ["hex digits in a line", `${KEY_HEX}\n`],
    ["hex digits in a line of another system", `${KEY_HEX}\r\n`],
    ["base64", `${Buffer.from(KEY).toString("base64")}\n`],
  ])("may write its key as %s", async (_, output) => {
    await using place = await Place.make();
    const file = await place.write("output", output);
    const provider = commandProvider({ command: ["cat", file] });
    const { key, parameters } = await provider.create(ID);
    expect(keyHex(key)).toBe(KEY_HEX);
    expect(keyHex(await provider.load(ID, parameters))).toBe(KEY_HEX);
  });

  it("gets its arguments unread by a shell, the key's id, and no other environment than was given", async () => {
    await using place = await Place.make();
    const lines = ['printf "%s\\n" "$@" > "$OUT"; env >> "$OUT"; pwd >> "$OUT"', `printf ${KEY_HEX}`];
    const program = await place.program("program", ...lines);
    const environment = { PATH: "/usr/bin:/bin", OUT: place.path("out") };
    const command = [program, "$(touch pwned)", "a b", "*"];
    await commandProvider({ command, environment }).load(ID, NONE);
    const seen = (await readFile(place.path("out"), "utf8")).trimEnd().split("\n");
    expect(seen.slice(0, 3)).toEqual(["$(touch pwned)", "a b", "*"]);
    expect(seen).toContain(`GATEHOUSE_KEY_ID=${ID}`);
    const names = seen.filter((line) => line.includes("=")).map((line) => line.split("=")[0]);
    const ofTheShell = new Set(["PWD", "SHLVL", "_", "OLDPWD"]);
    const given = names.filter((name) => !ofTheShell.has(name ?? ""));
    expect(new Set(given)).toEqual(new Set(["GATEHOUSE_KEY_ID", "OUT", "PATH"]));
    expect(seen.at(-1)).toBe("/");
  });

  it("that fails gives no key even when it wrote one, and nothing it says is repeated", async () => {
    await using place = await Place.make();
    const program = await place.program("program", `echo ${KEY_HEX}; echo canary-words >&2; exit 3`);
    const provider = commandProvider({ command: [program] });
    await expect(provider.load(ID, NONE)).rejects.toMatchObject({
      ...{ code: "key.missing", exitCode: 8, message: "the key command ended with exit code 3" },
    });
    const text = await shown(provider.load(ID, NONE));
    expect(text).not.toContain("canary");
    expect(text).not.toContain(KEY_HEX.slice(0, 16));
  });

  it("may say what it likes beside its key", async () => {
    await using place = await Place.make();
    const noise = "head -c 1000000 /dev/zero >&2";
    const program = await place.program("program", noise, `echo ${KEY_HEX}`);
    expect(keyHex(await commandProvider({ command: [program] }).load(ID, NONE))).toBe(KEY_HEX);
  });

  it("that writes something else, nothing, or without end gives no key", async () => {
    for (const command of [["true"], ["echo", "hunter2"], ["yes"], ["head", "-c", "100000", "/dev/zero"]]) {
      const work = commandProvider({ command }).create(ID);
      await expect(work).rejects.toMatchObject({ code: "key.wrong", exitCode: 8 });
    }
  });

  it("that cannot be started, or dies, says so", async () => {
    const killed = commandProvider({ command: ["sh", "-c", "kill -9 $$"] });
    await expect(killed.load(ID, NONE)).rejects.toMatchObject({ message: "the key command was killed" });
    for (const program of ["/nowhere/program", "no-such-program-anywhere", "/etc/passwd"]) {
      await expect(commandProvider({ command: [program] }).load(ID, NONE)).rejects.toMatchObject({
        ...{ code: "key.missing", message: "the key command could not be started" },
      });
    }
    expect(() => commandProvider({ command: [] })).toThrow(TypeError);
  });

  it("is ended after ten seconds with all that it started", async () => {
    await using place = await Place.make();
    const started = place.path("started");
    const lines = ["sleep 600 &", `echo $! > ${started}.part; mv ${started}.part ${started}`, "wait"];
    const program = await place.program("program", ...lines);
    const clock = new ManualClock();
    const work = shown(commandProvider({ command: [program], clock }).load(ID, NONE));
    const pid = Number(await eventually(() => readFile(started, "utf8")));
    clock.advance(9_999);
    expect(isRunning(pid)).toBe(true);
    clock.advance(1);
    expect(await work).toContain("the key command did not end within 10 s");
    await eventually(async () => {
      if (isRunning(pid)) throw new Error("what the command started is still running");
    });
  });
});

/** True for what has not ended; nobody may have asked yet how it did. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Tries until `work` succeeds. */
async function eventually<Result>(work: () => Promise<Result>): Promise<Result> {
  const until = performance.now() + 10_000;
  for (;;) {
    try {
      return await work();
    } catch (failure) {
      if (performance.now() > until) throw failure;
      await pause(10);
    }
  }
}
