import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bindCall } from "../../src/tools/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import {
  callOf,
  eventually,
  isRunning,
  newCallId,
  optionsOf,
  outcomeOf,
  Place,
  runnerOf,
  toolOf,
  untilOutput,
} from "./support.ts";

describe("a tool", () => {
  it("starts, says what it says on both streams, and ends with its exit code", async () => {
    const call = callOf(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
    const { events, stdout, stderr, ended } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect([stdout, stderr]).toEqual(["out\n", "err\n"]);
    expect(events[0]).toEqual({ kind: "started", pid: expect.any(Number) });
    expect(ended).toEqual({
      ...{ kind: "ended", exitCode: 3, reason: "exited", truncated: false },
      durationMs: expect.any(Number),
    });
  });

  it("that a signal ends says which", async () => {
    const call = callOf(["/bin/sh", "-c", "kill -SEGV $$"]);
    const { ended } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(ended).toMatchObject({ signal: "SIGSEGV", reason: "exited" });
    expect("exitCode" in ended).toBe(false);
  });

  it("finds its declared environment, secrets and call, a PATH and LANG, and nothing else", async () => {
    const tool = toolOf({
      ...{ command: ["/usr/bin/env", "-0"], allow_same_user: true },
      ...{ environment: { A: "b\nc", LANG: "C" }, secrets: { TOKEN: "a/b" } },
    });
    const callId = newCallId();
    const secrets = { TOKEN: new Uint8Array(Buffer.from("s3cret-tökén")) };
    const { stdout } = await outcomeOf(runnerOf().run(bindCall(tool, {}), optionsOf({ secrets, callId })));
    expect(new Set(stdout.split("\0").filter((entry) => entry !== ""))).toEqual(
      new Set([
        ...["A=b\nc", "LANG=C", "PATH=/usr/local/bin:/usr/bin:/bin", "TOKEN=[secret]"],
        `GATEHOUSE_CALL=${callId}`,
      ]),
    );
    expect(Buffer.from(secrets.TOKEN).toString()).toBe("s3cret-tökén");
  });

  it("gets its arguments unread by a shell, its directory, no input, no terminal and no open files", async () => {
    await using place = await Place.make();
    const program = await place.program(
      "program",
      'printf "%s|" "$@"; pwd; wc -c; tty; for fd in /proc/$$/fd/*; do readlink $fd; done | grep -v -e socket: -e /dev/null -e ^/tmp',
    );
    const tool = toolOf({
      ...{ command: [program, "{a}", "$HOME", "{{*"], directory: "/usr/bin", allow_same_user: true },
      parameters: { a: { type: "string" } },
    });
    const call = bindCall(tool, { a: "$(id);`id`" });
    const { stdout } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(stdout).toBe("$(id);`id`|$HOME|{*|/usr/bin\n0\nnot a tty\n");
  });

  it("leads a session and a process group of its own", async () => {
    const call = callOf(["/bin/cat", "/proc/self/stat"]);
    const { events, stdout } = await outcomeOf(runnerOf().run(call, optionsOf()));
    const [, , , , group, session] = stdout.split(" ").map(Number);
    const [started] = events;
    expect(started).toMatchObject({ pid: group });
    expect(session).toBe(group);
  });

  it("waits for its reader", async () => {
    const call = callOf(["/usr/bin/head", "-c", "4000000", "/dev/zero"], { output_max: "8MiB" });
    const run = runnerOf().run(call, optionsOf());
    const { value: started } = await run.next();
    const { value: first } = await run.next();
    if (started?.kind !== "started" || first?.kind !== "output") throw new Error("no output");
    expect(await eventually(() => writtenByBlocked(started.pid))).toBeLessThan(1_500_000);
    const { events, ended } = await outcomeOf(run);
    const sizes = events.flatMap((event) => (event.kind === "output" ? [event.bytes.length] : []));
    expect(sizes.every((size) => size >= 1 && size <= 65_536)).toBe(true);
    expect(sizes.reduce((sum, size) => sum + size, first.bytes.length)).toBe(4_000_000);
    expect(ended).toMatchObject({ exitCode: 0, truncated: false });
  });

  it("is ended at its output limit, counted over both streams", async () => {
    const call = callOf(["/bin/sh", "-c", "while :; do echo out; echo err >&2; done"], {
      output_max: "100KiB",
    });
    const { stdout, stderr, ended } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(stdout.length + stderr.length).toBe(102_400);
    expect(Math.min(stdout.length, stderr.length)).toBeGreaterThan(0);
    expect(ended).toMatchObject({ reason: "output-limit", truncated: true });
  });

  it("may fill its limit", async () => {
    const call = callOf(["/usr/bin/head", "-c", "1024", "/dev/zero"], { output_max: "1KiB" });
    const { stdout, ended } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(stdout).toHaveLength(1_024);
    expect(ended).toMatchObject({ reason: "exited", truncated: false });
  });

  it.each([
    ["its timeout", { timeout: "3s" }, Number.POSITIVE_INFINITY],
    ["the call's deadline", {}, 3_000],
  ])("is asked to end at %s", async (_, table, deadlineMs) => {
    const clock = new ManualClock();
    const script = "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
    const run = runnerOf({ clock }).run(callOf(["/bin/sh", "-c", script], table), optionsOf({ deadlineMs }));
    await untilOutput(run, "ready");
    clock.advance(2_999);
    const pending = outcomeOf(run);
    clock.advance(1);
    const { stdout, ended } = await pending;
    expect(stdout).toBe("asked\n");
    expect(ended).toMatchObject({ reason: "timeout", exitCode: 7, durationMs: 3_000 });
  });

  it("that does not end when asked is killed two seconds later", async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const script = "trap 'echo no' TERM; echo ready; while :; do sleep 0.01; done";
    const run = runnerOf({ clock }).run(
      callOf(["/bin/sh", "-c", script]),
      optionsOf({ signal: abort.signal }),
    );
    const { value: started } = await run.next();
    if (started?.kind !== "started") throw new Error("not started");
    await untilOutput(run, "ready");
    abort.abort();
    await untilOutput(run, "no");
    clock.advance(1_999);
    expect(isRunning(started.pid)).toBe(true);
    clock.advance(1);
    const { ended } = await outcomeOf(run);
    expect(ended).toMatchObject({ reason: "cancelled", signal: "SIGKILL" });
  });

  it("dies when its reader turns away, be it in the middle of waiting", async () => {
    const call = callOf(["/bin/sleep", "600"]);
    const runner = runnerOf();
    const run = runner.run(call, optionsOf());
    const { value: started } = await run.next();
    if (started?.kind !== "started") throw new Error("not started");
    const waitingFor = run.next();
    expect(await run.return?.()).toEqual({ value: undefined, done: true });
    expect(isRunning(started.pid)).toBe(false);
    expect((await waitingFor).value).toMatchObject({ kind: "ended", reason: "cancelled", signal: "SIGTERM" });
    for await (const event of runner.run(call, optionsOf())) {
      if (event.kind === "started") break;
    }
    expect(await run.next()).toEqual({ value: undefined, done: true });
  });

  it("does not start for a call that is over before it begins", async () => {
    const clock = new ManualClock();
    const over = { reason: "cancelled", durationMs: 0, truncated: false };
    const run = runnerOf({ clock }).run(callOf(["/bin/true"]), optionsOf({ signal: AbortSignal.abort() }));
    expect((await outcomeOf(run)).events).toEqual([{ kind: "ended", ...over }]);
    const late = runnerOf({ clock }).run(callOf(["/bin/true"]), optionsOf({ deadlineMs: 0 }));
    expect((await outcomeOf(late)).events).toEqual([{ kind: "ended", ...over, reason: "timeout" }]);
  });

  it("runs no more often at once than it may", async () => {
    const runner = runnerOf();
    const call = callOf(["/bin/sleep", "600"], { concurrency: 2 });
    const [first, second] = [runner.run(call, optionsOf()), runner.run(call, optionsOf())];
    await Promise.all([first.next(), second.next()]);
    await expect(runner.run(call, optionsOf()).next()).rejects.toMatchObject({
      ...{ code: "tool.busy", isRetryable: true, retryAfterMs: 1_000, exitCode: 11 },
    });
    await second.return?.();
    const third = runner.run(call, optionsOf());
    expect((await third.next()).value).toMatchObject({ kind: "started" });
    await Promise.all([first.return?.(), third.return?.()]);
  });

  it("frees its place before it says that it has ended", async () => {
    const runner = runnerOf();
    const call = callOf(["/bin/true"]);
    const run = runner.run(call, optionsOf());
    while ((await run.next()).value?.kind !== "ended");
    expect((await outcomeOf(runner.run(call, optionsOf()))).ended).toMatchObject({ exitCode: 0 });
  });

  it("frees its place when it could not be started", async () => {
    const runner = runnerOf();
    const call = callOf(["/etc/passwd"]);
    for (const _ of [1, 2]) {
      await expect(runner.run(call, optionsOf()).next()).rejects.toMatchObject({
        code: "tool.not-startable",
      });
    }
  });

  it("dies with the runner", async () => {
    const pids: number[] = [];
    {
      await using runner = runnerOf();
      for (const _ of [1, 2]) {
        const { value } = await runner
          .run(callOf(["/bin/sleep", "600"], { concurrency: 2 }), optionsOf())
          .next();
        if (value?.kind === "started") pids.push(value.pid);
      }
      expect(pids.map(isRunning)).toEqual([true, true]);
    }
    expect(pids.map(isRunning)).toEqual([false, false]);
  });

  it.each([
    ["/nowhere/program", {}, "its program does not exist or may not be executed"],
    ["/etc", {}, "its program does not exist or may not be executed"],
    [
      "/usr/bin/true",
      { directory: "/nowhere" },
      "its program, its interpreter or its directory does not exist",
    ],
  ])("that is %s %j cannot be started", async (program, table, why) => {
    const failure = runnerOf()
      .run(callOf([program], table), optionsOf())
      .next();
    await expect(failure).rejects.toMatchObject({
      ...{ code: "tool.not-startable", exitCode: 1, message: `tool t cannot be started: ${why}` },
    });
  });

  it("without its interpreter, or with too much to take, cannot be started", async () => {
    await using place = await Place.make();
    const program = await place.program("program", "#!/nowhere/interpreter");
    await expect(
      runnerOf()
        .run(callOf([program]), optionsOf())
        .next(),
    ).rejects.toMatchObject({
      message: expect.stringContaining("its interpreter"),
    });
    const element = "{p}".repeat(32);
    const tool = toolOf({
      ...{ command: ["/bin/true", element], allow_same_user: true },
      parameters: { p: { type: "string", max_length: 4_096 } },
    });
    const call = bindCall(tool, { p: "😀".repeat(4_096) });
    await expect(runnerOf().run(call, optionsOf()).next()).rejects.toMatchObject({
      message: expect.stringContaining("arguments and environment together are too large"),
    });
  });

  it.each([
    ["a NUL", Buffer.from("abcd\0")],
    ["no UTF-8", Buffer.from([0xff, 0xfe, 0xfd, 0xfc])],
    ["three bytes", Buffer.from("abc")],
    ["more than 64 KiB", Buffer.alloc(65_537, "a")],
  ])("takes no secret of %s", async (_, secret) => {
    const tool = toolOf({ command: ["/bin/true"], allow_same_user: true, secrets: { T: "a/b" } });
    const run = runnerOf().run(bindCall(tool, {}), optionsOf({ secrets: { T: secret } }));
    await expect(run.next()).rejects.toMatchObject({ code: "tool.secret-unfit", exitCode: 7 });
  });

  it("takes no other secrets than its own, and no call id that could be guessed", async () => {
    const call = callOf(["/bin/true"]);
    const secrets = { LD_PRELOAD: randomBytes(8) };
    await expect(runnerOf().run(call, optionsOf({ secrets })).next()).rejects.toThrow(TypeError);
    await expect(
      runnerOf()
        .run(call, optionsOf({ callId: "1" }))
        .next(),
    ).rejects.toThrow(TypeError);
  });
});

/** Bytes that a process has written which now waits in write(2) (1 on x86-64, 64 on arm64) for somebody to read. */
function writtenByBlocked(pid: number): number | undefined {
  const isWriting = /^(?:1|64) /.test(readFileSync(`/proc/${pid}/syscall`, "utf8"));
  if (!isWriting) return undefined;
  return Number(/wchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}
