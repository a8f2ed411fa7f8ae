import { type StdioOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bindCall } from "../../src/tools/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import {
  callOf,
  eventually,
  isRunning,
  leftOf,
  newCallId,
  optionsOf,
  outcomeOf,
  Place,
  PYTHON,
  runClockUntil,
  runnerOf,
  toolOf,
  untilOutput,
} from "./support.ts";

/** Python: leaves for a session of its own, with nobody of its parents left, deaf to SIGTERM, saying nothing. */
const GO = [
  "import os, signal, sys, time",
  "def go(then):",
  "    if os.fork(): return",
  "    os.setsid()",
  "    if os.fork(): os._exit(0)",
  "    os.setsid() if os.getpid() != os.getsid(0) else None",
  "    signal.signal(signal.SIGTERM, signal.SIG_IGN)",
  "    for fd in (0, 1, 2): os.dup2(os.open('/dev/null', os.O_RDWR), fd)",
  "    then()",
  "    os._exit(0)",
];
/** After so many it ends by itself, should a test fail. */
const GENERATIONS = 5_000;
const SLEEP = "lambda: time.sleep(600)";

describe("a tool that will not go", () => {
  it("is killed with all that it sent off, though they have left its group and are deaf", async () => {
    await using place = await Place.make();
    const lines = [
      ...[...GO, "signal.signal(signal.SIGTERM, signal.SIG_IGN)"],
      ...[`for _ in range(3): go(${SLEEP})`, "print('ready', flush=True)", "time.sleep(600)"],
    ];
    const program = await place.program("program", PYTHON, ...lines);
    const [clock, abort, callId] = [new ManualClock(), new AbortController(), newCallId()];
    const run = runnerOf({ clock }).run(callOf([program]), optionsOf({ callId, signal: abort.signal }));
    await untilOutput(run, "ready");
    await eventually(() => (leftOf(callId).length === 4 ? true : undefined));
    abort.abort();
    const { ended } = await runClockUntil(clock, outcomeOf(run));
    expect(ended).toMatchObject({ reason: "cancelled", signal: "SIGKILL" });
    expect(leftOf(callId)).toEqual([]);
  });

  it("leaves nothing behind when it ends by itself", async () => {
    await using place = await Place.make();
    const program = await place.program(
      "program",
      PYTHON,
      ...GO,
      `for _ in range(3): go(${SLEEP})`,
      "sys.exit(5)",
    );
    const callId = newCallId();
    const { ended } = await outcomeOf(runnerOf().run(callOf([program]), optionsOf({ callId })));
    expect(ended).toMatchObject({ reason: "exited", exitCode: 5, truncated: false });
    expect(leftOf(callId)).toEqual([]);
  });

  it("is found without its environment while its parent lives", async () => {
    await using place = await Place.make();
    const inner = `echo $$ > "$0.part"; mv "$0.part" "$0"; exec sleep 600`;
    const script = `env -i setsid /bin/sh -c '${inner}' "$0" >/dev/null 2>&1 & wait`;
    const run = runnerOf().run(callOf(["/bin/sh", "-c", script, place.path("pid")]), optionsOf());
    await run.next();
    const pid = await eventually(() => numberIn(place.path("pid")));
    expect(isRunning(pid)).toBe(true);
    await run.return?.();
    expect(isRunning(pid)).toBe(false);
  });

  it("is found without its environment while it holds the output", async () => {
    await using place = await Place.make();
    const script =
      "(env -i setsid /bin/sh -c 'echo $$; exec sleep 600' &); while ! [ -e \"$0\" ]; do :; done";
    const run = runnerOf().run(callOf(["/bin/sh", "-c", script, place.path("go")]), optionsOf());
    const pid = Number(await untilOutput(run, "\n"));
    expect(isRunning(pid)).toBe(true);
    writeFileSync(place.path("go"), "");
    expect((await outcomeOf(run)).ended).toMatchObject({ reason: "exited", exitCode: 0, truncated: false });
    expect(isRunning(pid)).toBe(false);
  });

  it("does not outrun the search by having a child and ending, again and again", async () => {
    await using place = await Place.make();
    const lines = [
      ...["import os, time", "log = os.open(os.path.dirname(__file__) + '/log', os.O_WRONLY | os.O_CREAT)"],
      ...["if os.fork(): time.sleep(0.3); os._exit(0)", `for _ in range(${GENERATIONS}):`],
      ...["    os.write(log, b'x')", "    os._exit(0) if os.fork() else os.setsid()"],
    ];
    const program = await place.program("program", PYTHON, ...lines);
    const { ended } = await outcomeOf(runnerOf().run(callOf([program]), optionsOf()));
    expect(ended).toMatchObject({ reason: "exited" });
    const count = statSync(place.path("log")).size;
    expect(count).toBeGreaterThan(0);
    // In that time it would have had a good deal of them.
    for (let turns = 0; turns < 1_000; turns += 1) await turn();
    expect(statSync(place.path("log")).size).toBe(count);
  });

  it("is killed while it is stopped", async () => {
    const clock = new ManualClock();
    const run = runnerOf({ clock }).run(
      callOf(["/bin/sh", "-c", "echo ready; kill -STOP $$"], { timeout: "1s" }),
      optionsOf(),
    );
    await untilOutput(run, "ready");
    const { ended } = await runClockUntil(clock, outcomeOf(run));
    expect(ended).toMatchObject({ reason: "timeout", signal: "SIGKILL" });
  });

  it("is killed while it floods, though it is deaf and minds no closed pipe", async () => {
    await using place = await Place.make();
    const lines = [
      ...["import os, signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "while True:"],
      ...["    try: os.write(1, b'x' * 65536)", "    except OSError: pass"],
    ];
    const program = await place.program("program", PYTHON, ...lines);
    const [clock, callId] = [new ManualClock(), newCallId()];
    const run = runnerOf({ clock }).run(callOf([program], { output_max: "1MiB" }), optionsOf({ callId }));
    const { stdout, ended } = await runClockUntil(clock, outcomeOf(run));
    expect(stdout).toHaveLength(1_048_576);
    expect(ended).toMatchObject({ reason: "output-limit", signal: "SIGKILL", truncated: true });
    expect(leftOf(callId)).toEqual([]);
  });

  it("leaves nothing behind when it is killed at any moment of its start", async () => {
    const sandbox = { kind: "bubblewrap" };
    for (const table of [{}, { sandbox }]) {
      const call = callOf(["/bin/sh", "-c", "setsid sleep 600 & sleep 600"], table);
      for (const moment of [0, 1, 4, 16, 64]) {
        const [abort, callId] = [new AbortController(), newCallId()];
        const run = runnerOf().run(call, optionsOf({ callId, signal: abort.signal }));
        const first = run.next();
        for (let turns = 0; turns < moment; turns += 1) await turn();
        abort.abort();
        const { value } = await first;
        const ended = value?.kind === "ended" ? value : (await outcomeOf(run)).ended;
        expect(ended).toMatchObject({ reason: "cancelled" });
        expect(leftOf(callId)).toEqual([]);
      }
    }
  });

  it("is not waited for when it gave its output to somebody else of the machine", async () => {
    await using place = await Place.make();
    const receive = [
      "import socket, sys, time",
      "door = socket.socket(socket.AF_UNIX)",
      "door.bind(sys.argv[1])",
    ];
    const hold = [
      "door.listen()",
      "print('ready')",
      "sys.stdout.close()",
      "kept = socket.recv_fds(door.accept()[0], 1, 1)",
    ];
    const service = await place.program(
      "service",
      "#!/usr/bin/python3",
      ...receive,
      ...hold,
      "time.sleep(600)",
    );
    const held = spawn(service, [place.path("door")], { stdio: ["ignore", "pipe", "inherit"] });
    await once(held.stdout, "data");
    try {
      const give = [
        "import socket, sys",
        "door = socket.socket(socket.AF_UNIX)",
        "door.connect(sys.argv[1])",
      ];
      const send = ["socket.send_fds(door, [b'x'], [1])", "print('said')"];
      const program = await place.program("program", "#!/usr/bin/python3", ...give, ...send);
      const clock = new ManualClock();
      const run = runnerOf({ clock }).run(callOf([program, place.path("door")]), optionsOf());
      const { stdout, ended } = await runClockUntil(clock, outcomeOf(run));
      expect([stdout, ended.reason, ended.truncated]).toEqual(["said\n", "exited", true]);
      expect(isRunning(held.pid ?? 0)).toBe(true);
      expect(clock.monotonicMs()).toBeLessThan(30_000);
    } finally {
      held.kill("SIGKILL");
    }
  });
});

describe("a tool that tells its secret", () => {
  const SECRET = "hunter2!Korrekt/Pferd+Batterie-Klammer";

  it("is not heard, in pieces, on either stream, in the usual encodings", async () => {
    await using place = await Place.make();
    const lines = [
      ...["import base64, json, os, time, urllib.parse", "key = os.environ['KEY']", "raw = key.encode()"],
      ...["def say(data, fd=1):", "    os.write(fd, b'<' + data + b'>')"],
      ...["for byte in raw: os.write(1, bytes([byte]))", "for byte in raw: os.write(2, bytes([byte]))"],
      ...["say(raw)", "say(raw, 2)", "say(base64.b64encode(raw))", "say(base64.b64encode(b'user:' + raw))"],
      ...[
        "say(base64.urlsafe_b64encode(raw))",
        "say(base64.encodebytes(raw * 3))",
        "say(raw.hex().encode())",
      ],
      ...[
        "say(raw.hex().upper().encode())",
        "say(raw[::-1])",
        "say(urllib.parse.quote(key, safe='').encode())",
      ],
      ...["say(json.dumps({'key': key}).encode())", "say(raw[:20])", "time.sleep(0.02)", "say(raw[20:])"],
    ];
    const program = await place.program("program", PYTHON, ...lines);
    const tool = toolOf({ command: [program], allow_same_user: true, secrets: { KEY: "a/b" } });
    const secrets = { KEY: new Uint8Array(Buffer.from(SECRET)) };
    const { stdout, stderr, ended } = await outcomeOf(
      runnerOf().run(bindCall(tool, {}), optionsOf({ secrets })),
    );
    expect(ended).toMatchObject({ exitCode: 0 });
    expect(stderr).toBe("[secret]<[secret]>");
    // Base64 of something before it shares one symbol with it, and the cut in two is a shortcoming that is known.
    expect(stdout).toMatch(
      new RegExp(
        "^\\[secret\\]<\\[secret\\]><\\[secret\\]=*><dXNlcjp?.?\\[secret\\].?=*><\\[secret\\]=*><.*>" +
          '<\\[secret\\]><\\[secret\\]><\\[secret\\]><\\[secret\\]><\\{"key": "\\[secret\\]"\\}><hunter2.*><.*>$',
        "s",
      ),
    );
    for (const form of [
      SECRET,
      Buffer.from(SECRET).toString("hex"),
      Buffer.from(SECRET).toString("base64"),
    ]) {
      expect(stdout.includes(form.slice(0, 30))).toBe(false);
    }
  });

  it("is not heard to the half when it is killed in the middle", async () => {
    const script = 'printf "so: %.20s" "$KEY"; echo ready >&2; exec sleep 600';
    const tool = toolOf({
      ...{ command: ["/bin/sh", "-c", script], allow_same_user: true, secrets: { KEY: "a/b" } },
    });
    const abort = new AbortController();
    const secrets = { KEY: new Uint8Array(Buffer.from(SECRET)) };
    const run = runnerOf().run(bindCall(tool, {}), optionsOf({ secrets, signal: abort.signal }));
    await untilOutput(run, "ready");
    abort.abort();
    const { stdout, ended } = await outcomeOf(run);
    expect(stdout).not.toContain("hunter");
    expect(ended).toMatchObject({ reason: "cancelled", truncated: true });
  });

  it("does not delay a question", async () => {
    const script = 'printf "Password for h: "; sleep 600';
    const tool = toolOf({
      ...{ command: ["/bin/sh", "-c", script], allow_same_user: true, secrets: { KEY: "a/b" } },
    });
    const secrets = { KEY: new Uint8Array(Buffer.from(SECRET)) };
    const run = runnerOf().run(bindCall(tool, {}), optionsOf({ secrets }));
    expect(await untilOutput(run, "for h: ")).toBe("Password for h: ");
    await run.return?.();
  });
});

describe("what the daemon was given open", () => {
  it("stays shut to its tools", async () => {
    await using place = await Place.make();
    mkdirSync(place.path("home"));
    writeFileSync(place.path("home/key"), "hunter2");
    const program = await place.program("program", "readlink /proc/$$/fd/40; cat /proc/$$/fd/40/key");
    const script = fileURLToPath(new URL("./run-tool.ts", import.meta.url));
    const between = Array.from({ length: 37 }, () => "ignore" as const);
    const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...between, openSync(place.path("home"), "r")];
    const { stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", script, program], { stdio });
    expect(stderr.toString()).toBe("");
    expect(stdout.toString()).toMatch(/^\/dev\/null\ncat: /);
  });
});

function numberIn(path: string): number | undefined {
  return existsSync(path) ? Number(readFileSync(path, "utf8")) : undefined;
}
