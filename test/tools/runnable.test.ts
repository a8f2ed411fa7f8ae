import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { bindCall, checkRunnable, hasBubblewrap, type ToolEvent } from "../../src/tools/index.ts";
import {
  callOf,
  eventually,
  failureOf,
  isRunning,
  leftOf,
  newCallId,
  optionsOf,
  outcomeOf,
  Place,
  runnerOf,
  toolOf,
  untilOutput,
} from "./support.ts";

const COMMAND = { command: ["/usr/bin/true"] };
const SANDBOX = { kind: "bubblewrap" };
const ROOT = { uid: 0, hasBubblewrap: true };
const USER = { uid: 1_000, hasBubblewrap: true };
const isRoot = process.getuid?.() === 0;

/** Table, host, and whom it runs as or why it does not. */
type Row = readonly [Readonly<Record<string, unknown>>, typeof ROOT, unknown];

describe("checkRunnable", () => {
  it.each<Row>([
    [{ user: "nobody" }, ROOT, { uid: 65_534, gid: 65_534 }],
    [{ user: "nobody", group: "daemon" }, ROOT, { uid: 65_534, gid: 1 }],
    [{ user: 54_321, group: 54_321 }, ROOT, { uid: 54_321, gid: 54_321 }],
    [
      { user: "nobody", sandbox: { ...SANDBOX, write: ["/srv"], network: true } },
      ROOT,
      { uid: 65_534, gid: 65_534 },
    ],
    [{ sandbox: SANDBOX }, ROOT, undefined],
    [{ sandbox: { ...SANDBOX, write: ["/srv"], network: true } }, USER, undefined],
    [{ allow_same_user: true }, USER, undefined],
    [{ allow_same_user: true, user: "root" }, ROOT, undefined],
    [{ allow_same_user: true, limits: { processes: 5 } }, USER, undefined],
  ])("lets %j run", (table, host, account) => {
    expect(checkRunnable(toolOf({ ...COMMAND, ...table }), host)).toEqual(account);
  });

  it.each<Row>([
    [{}, USER, "tool.unsafe: tool t is not safe to run: it would run as the gatehouse's own user"],
    [{}, ROOT, "tool.unsafe: tool t is not safe to run: it would run as the gatehouse's own user"],
    [
      { user: "root" },
      ROOT,
      "tool.unsafe: tool t is not safe to run: it would run as the gatehouse's own user",
    ],
    [
      { user: 0, group: 5 },
      ROOT,
      "tool.unsafe: tool t is not safe to run: it would run as the gatehouse's own user",
    ],
    [
      { user: 1_000, group: 5 },
      USER,
      "tool.unsafe: tool t is not safe to run: it would run as the gatehouse's own",
    ],
    [{ user: "nobody" }, USER, "tool.unsafe: tool t is not safe to run: only a gatehouse that runs as root"],
    [
      { user: "nobody", allow_same_user: true },
      USER,
      "tool.unsafe: tool t is not safe to run: only a gatehouse",
    ],
    [
      { sandbox: { ...SANDBOX, write: ["/srv"] } },
      ROOT,
      "tool.unsafe: tool t is not safe to run: its sandbox would reach",
    ],
    [
      { sandbox: { ...SANDBOX, network: true } },
      ROOT,
      "tool.unsafe: tool t is not safe to run: its sandbox would reach",
    ],
    [
      { sandbox: SANDBOX },
      { ...USER, hasBubblewrap: false },
      "tool.not-startable: tool t cannot be started: its sandbox",
    ],
    [
      { user: "no-such-user" },
      ROOT,
      "tool.not-startable: tool t cannot be started: its user or group is unknown",
    ],
    [
      { user: "nobody", group: "no-such-group" },
      ROOT,
      "tool.not-startable: tool t cannot be started: its user or",
    ],
    [{ user: 54_321 }, ROOT, "tool.not-startable: tool t cannot be started: its user or group is unknown"],
    [
      { sandbox: SANDBOX, limits: { processes: 5 } },
      ROOT,
      "tool.not-startable: tool t cannot be started: a limit on processes does not bind root",
    ],
  ])("refuses %j", (table, host, failure) => {
    expect(failureOf(() => checkRunnable(toolOf({ ...COMMAND, ...table }), host))).toContain(failure);
  });

  it("is asked before each start", async () => {
    const call = bindCall(toolOf({ command: ["/bin/true"] }), {});
    await expect(runnerOf().run(call, optionsOf()).next()).rejects.toMatchObject({
      ...{ code: "tool.unsafe", exitCode: 7 },
    });
  });
});

describe.runIf(isRoot)("a tool of another user", () => {
  it("has its user, its group and no others, and no file of the daemon's", async () => {
    await using place = await Place.make();
    writeFileSync(place.path("key"), "hunter2", { mode: 0o600 });
    const program = await place.program("program", 'id -u; id -G; cat "$1" "/proc/$2/environ"');
    const call = callOf([program, place.path("key"), String(process.pid)], { user: "nobody" });
    const { stdout, stderr } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(stdout).toBe("65534\n65534\n");
    expect(stderr.match(/Permission denied/g)).toHaveLength(2);
  });

  it("must be able to execute its program", async () => {
    await using place = await Place.make();
    const program = await place.program("program", "true");
    chmodSync(program, 0o700);
    const call = callOf([program], { user: "nobody" });
    await expect(runnerOf().run(call, optionsOf()).next()).rejects.toMatchObject({
      ...{ code: "tool.not-startable", message: "tool t cannot be started: its user may not execute it" },
    });
  });

  it("dies with its call", async () => {
    const callId = newCallId();
    const run = runnerOf().run(
      callOf(["/bin/sh", "-c", "setsid sleep 600 & echo ready; wait"], { user: "nobody" }),
      optionsOf({ callId }),
    );
    await untilOutput(run, "ready");
    await run.return?.();
    expect(leftOf(callId)).toEqual([]);
  });

  it("starts no more processes than it may", async () => {
    const script = "for i in 1 2 3 4 5 6; do sleep 5 & done; echo all";
    const table = { user: 54_321, group: 54_321, limits: { processes: 3 } };
    const { stdout, stderr } = await outcomeOf(
      runnerOf().run(callOf(["/bin/sh", "-c", script], table), optionsOf()),
    );
    expect([stdout, stderr]).toEqual(["", expect.stringContaining("Cannot fork")]);
  });
});

const OPEN_20 = "kept = [open('/dev/null') for _ in range(20)]";

describe("a tool with limits", () => {
  it.each([
    [
      "memory",
      { memory: "64MiB" },
      ["/usr/bin/python3", "-S", "-c", "bytearray(200_000_000)"],
      { exitCode: 1 },
    ],
    ["time", { cpu: "1s" }, ["/bin/sh", "-c", "while :; do :; done"], { signal: "SIGKILL" }],
    ["open files", { files: 16 }, ["/usr/bin/python3", "-S", "-c", OPEN_20], { exitCode: 1 }],
  ])("has no more %s", async (_, limits, command, ended) => {
    const outcome = await outcomeOf(runnerOf().run(callOf(command, { limits }), optionsOf()));
    expect(outcome.ended).toMatchObject({ reason: "exited", ...ended });
  });

  it("writes no larger file, and no core", async () => {
    await using place = await Place.make();
    const script = 'ulimit -Hc; head -c 9000 /dev/zero > "$0"';
    const table = { limits: { file_size: "4KiB" } };
    const call = callOf(["/bin/sh", "-c", script, place.path("file")], table);
    const { stdout } = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(stdout).toBe("0\n");
    expect(readFileSync(place.path("file"))).toHaveLength(4_096);
  });
});

describe.runIf(hasBubblewrap())("a tool in a sandbox", () => {
  it("sees programs, its declared paths and itself, and writes nowhere else", async () => {
    await using place = await Place.make();
    for (const name of ["home", "shown", "given"]) mkdirSync(place.path(name), { mode: 0o777 });
    chmodSync(place.path("given"), 0o777);
    writeFileSync(place.path("home/key"), "hunter2");
    writeFileSync(place.path("shown/file"), "shown");
    const script = [
      ...["pwd", 'cat "$0/shown/file" "$0/home/key"', 'echo x > "$0/shown/y"', 'echo z > "$0/given/z"'],
      ...["echo w > /w", "echo t > /tmp/t && cat /tmp/t", "ls -A /root /home /var /run", "id -u"],
      ...["ls /proc | grep -c '^[0-9]'", "grep CapEff /proc/self/status", 'echo "$MODE"'],
    ];
    const table = {
      ...{
        directory: place.path("given"),
        environment: { MODE: "quick" },
        user: isRoot ? "nobody" : undefined,
      },
      sandbox: { ...SANDBOX, read: [place.path("shown")], write: [place.path("given")] },
    };
    const call = callOf(["/bin/sh", "-c", script.join("; "), place.root], table);
    const { stdout, stderr } = await outcomeOf(
      runnerOf({ protectedDirs: [place.path("home")] }).run(call, optionsOf()),
    );
    const [directory, shown, ...rest] = stdout.split("\n");
    expect([directory, shown]).toEqual([place.path("given"), "shownt"]);
    expect(rest.slice(0, 3)).toEqual([
      String(isRoot ? 65_534 : process.getuid?.()),
      "4",
      "CapEff:\t0000000000000000",
    ]);
    expect(rest[3]).toBe("quick");
    expect(stderr.match(/Read-only file system/g)).toHaveLength(2);
    expect(stderr.match(/No such file or directory/g)).toHaveLength(5);
    expect(readFileSync(place.path("given/z"), "utf8")).toBe("z\n");
  });

  it("of root's own cannot touch what is the machine's", async () => {
    const files = [
      "sys/kernel/core_pattern",
      "sys/vm/overcommit_memory",
      "sysrq-trigger",
      "irq/default_smp_affinity",
    ];
    // Opened for appending and left: this machine is used by others.
    const script = `for f in ${files.join(" ")}; do ( : >> /proc/$f ) 2>/dev/null && echo open $f; done; grep CapEff /proc/self/status`;
    const { stdout } = await outcomeOf(
      runnerOf().run(callOf(["/bin/sh", "-c", script], { sandbox: SANDBOX }), optionsOf()),
    );
    expect(stdout).toBe("CapEff:\t0000000000000000\n");
  });

  it("reaches the machine's network only where it may", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const address = server.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const program = `import socket; print(socket.create_connection(("127.0.0.1", ${port})).recv(5))`;
    const outcomes = [false, true].map((network) => {
      const call = callOf(["/usr/bin/python3", "-S", "-c", program], { sandbox: { ...SANDBOX, network } });
      return outcomeOf(runnerOf().run(call, optionsOf()));
    });
    const [alone, connected] = await Promise.all(outcomes);
    server.close();
    expect(alone?.ended.exitCode).toBe(1);
    expect(connected?.stdout).toBe("b'hello'\n");
  });

  it("has its secrets in no argument", async () => {
    const tool = toolOf({
      ...{
        command: ["/bin/sh", "-c", 'printf %s "$KEY" | wc -c; sleep 600'],
        sandbox: SANDBOX,
        secrets: { KEY: "a/b" },
      },
    });
    const secrets = { KEY: new Uint8Array(Buffer.from("hunter2!hunter2!")) };
    const run = runnerOf().run(bindCall(tool, {}), optionsOf({ secrets }));
    const { value: started } = await run.next();
    expect(await untilOutput(run, "\n")).toBe("16\n");
    const line = readFileSync(`/proc/${pidOf(started)}/cmdline`, "utf8");
    expect(line).toContain("--unshare-all");
    expect(line).not.toContain("hunter2");
    await run.return?.();
  });

  it("is asked to end, and dies with all that it has", async () => {
    const script =
      "trap 'echo asked; exit 7' TERM; env -i setsid sleep 600 >/dev/null 2>&1 & echo ready; wait";
    const [abort, callId] = [new AbortController(), newCallId()];
    const call = callOf(["/bin/sh", "-c", script], { sandbox: SANDBOX });
    const run = runnerOf().run(call, optionsOf({ callId, signal: abort.signal }));
    const { value: started } = await run.next();
    await untilOutput(run, "ready");
    const inside = await eventually(() => namespaceOf(pidOf(started)));
    abort.abort();
    const { stdout, ended } = await outcomeOf(run);
    expect([stdout, ended.exitCode]).toEqual(["asked\n", 7]);
    expect(processesIn(inside)).toEqual([]);
  });

  it.each([
    ["itself", (place: Place) => place.path("home")],
    ["a part of it", (place: Place) => place.path("home/ca")],
    ["what holds it", (place: Place) => place.root],
    ["a link to it", (place: Place) => place.path("link")],
    ["a link to a part of it", (place: Place) => place.path("deep/link")],
  ])("is never shown the home: %s", async (_, pathOf) => {
    await using place = await Place.make();
    mkdirSync(place.path("home/ca"), { recursive: true });
    mkdirSync(place.path("deep"));
    symlinkSync(place.path("home"), place.path("link"));
    symlinkSync("../home/ca", place.path("deep/link"));
    for (const sandbox of [
      { ...SANDBOX, read: [pathOf(place)] },
      { ...SANDBOX, write: [pathOf(place)] },
    ]) {
      const run = runnerOf({ protectedDirs: [place.path("home")] }).run(
        callOf(["/bin/true"], { sandbox }),
        optionsOf(),
      );
      await expect(run.next()).rejects.toMatchObject({
        ...{ code: "tool.unsafe", message: expect.stringContaining("shows the gatehouse's home or keys") },
      });
    }
  });

  it("does not see a home that lies amid the system's programs", async () => {
    const call = callOf(["/bin/ls", "-A", "/usr/share/doc"], { sandbox: SANDBOX });
    const shown = await outcomeOf(runnerOf().run(call, optionsOf()));
    expect(shown.stdout).not.toBe("");
    const hidden = await outcomeOf(runnerOf({ protectedDirs: ["/usr/share/doc"] }).run(call, optionsOf()));
    expect([hidden.stdout, hidden.ended.exitCode]).toEqual(["", 0]);
  });

  it.each([
    [{ read: ["/nowhere"] }, {}, "a path of its sandbox cannot be reached"],
    [{}, { directory: "/etc" }, "its sandbox does not show its directory"],
  ])("with %j %j cannot be started", async (sandbox, table, why) => {
    const call = callOf(["/bin/true"], { sandbox: { ...SANDBOX, ...sandbox }, ...table });
    await expect(runnerOf().run(call, optionsOf()).next()).rejects.toMatchObject({
      ...{ code: "tool.not-startable", message: `tool t cannot be started: ${why}` },
    });
  });

  it("cannot be started where its program is not shown", async () => {
    await using place = await Place.make();
    const program = await place.program("program", "echo here");
    const refused = runnerOf().run(callOf([program], { sandbox: SANDBOX }), optionsOf());
    await expect(refused.next()).rejects.toMatchObject({ code: "tool.not-startable" });
    const sandbox = { ...SANDBOX, read: [program] };
    const { stdout } = await outcomeOf(runnerOf().run(callOf([program], { sandbox }), optionsOf()));
    expect(stdout).toBe("here\n");
  });

  it("has its limits inside", async () => {
    const limits = { memory: "64MiB" };
    const program = ["/usr/bin/python3", "-S", "-c", "print(1); bytearray(200_000_000)"];
    const { stdout, stderr } = await outcomeOf(
      runnerOf().run(callOf(program, { sandbox: SANDBOX, limits }), optionsOf()),
    );
    expect([stdout, stderr]).toEqual(["1\n", expect.stringContaining("MemoryError")]);
  });
});

function pidOf(event: ToolEvent | undefined): number {
  if (event?.kind !== "started") throw new Error("not started");
  return event.pid;
}

/** Of the processes in the sandbox of that bubblewrap. */
function namespaceOf(pid: number): string | undefined {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ");
  return child === "" || child === undefined ? undefined : readlinkSync(`/proc/${child}/ns/pid`);
}

function processesIn(namespace: string): readonly string[] {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return isRunning(Number(name)) && readlinkSync(`/proc/${name}/ns/pid`) === namespace;
    } catch {
      return false;
    }
  });
}
