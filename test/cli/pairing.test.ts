import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Context, createContext, createOutput, type GlobalOptions } from "../../src/cli/context.ts";
import { exitCodeFor } from "../../src/cli/failure.ts";
import { pairingCard, showCountdown } from "../../src/cli/pairing-card.ts";
import { type PairingEvent, type PairingWatch, watchPairing } from "../../src/cli/pairing-watch.ts";
import { createStyle } from "../../src/cli/style.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { createIo, type Recorded } from "./support.ts";

const opened = { code: "148092", uri: "gatehouse://127.0.0.1:7443/id#secret", expiresAt: 4_102_444_800_000 };
const device = { id: "a".repeat(56), name: "pho\u001bne", role: "member" };

async function* events(...list: readonly PairingEvent[]): AsyncIterable<PairingEvent> {
  yield* list;
}

function context(options: GlobalOptions, isTTY = false): { context: Context; recorded: Recorded } {
  const { io, recorded } = createIo([], { isTTY });
  return { context: createContext(io, options, createOutput(io, options)), recorded };
}

const joiner = {
  ...{ id: "b".repeat(56), name: "laptop", kind: "cli", platform: "linux-x64", role: "member", replaces: "" },
  ...{ expiresAt: 4_102_444_800_000, remoteAddress: "192.0.2.9" },
};
const asked: PairingEvent = { kind: "asked", joiner };

async function watch(options: GlobalOptions, ...list: readonly PairingEvent[]) {
  return watchWith({ openedEvent: "open" }, options, ...list);
}

async function watchWith(how: PairingWatch, options: GlobalOptions, ...list: readonly PairingEvent[]) {
  const { context: here, recorded } = context(options);
  const exitCode = await watchPairing(here, events(...list), how).then(
    () => 0,
    (error: unknown) => exitCodeFor(error),
  );
  return { exitCode, ...recorded() };
}

describe("a pairing window with --json", () => {
  it("is one line when it opens and one when somebody came", async () => {
    const { exitCode, stdout, stderr } = await watch(
      { json: true },
      { kind: "opened", ...opened },
      { kind: "paired", device },
    );
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { event: "open", ...opened },
      { event: "paired", device },
    ]);
    expect([exitCode, stderr]).toEqual([0, ""]);
  });

  it("ends with 5 when its code was burnt, with 6 when it expired or just ended", async () => {
    const first: PairingEvent = { kind: "opened", ...opened };
    expect((await watch({ json: true }, first, { kind: "burnt" })).exitCode).toBe(5);
    expect((await watch({ json: true }, first, { kind: "expired" })).exitCode).toBe(6);
    expect((await watch({ json: true }, first)).exitCode).toBe(6);
  });

  it("has no code when there is none", async () => {
    const { stdout } = await watch({ json: true }, { kind: "opened", ...opened, code: undefined });
    expect(JSON.parse(stdout)).toEqual({ event: "open", uri: opened.uri, expiresAt: opened.expiresAt });
  });
});

describe("a joiner that needs a yes", () => {
  it("is a line with the command that lets it in, then one that says how it ended", async () => {
    const { exitCode, stdout } = await watch({ json: true }, asked, { kind: "paired", device });
    expect(exitCode).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { event: "asked", joiner, approve: "gatehouse device approve bbbbbbbb" },
      { event: "paired", device },
    ]);
    const refused = await watch({ json: true }, asked, { kind: "denied", id: joiner.id });
    expect(refused.exitCode).toBe(10);
    expect(JSON.parse(refused.stdout.trimEnd().split("\n").at(-1) ?? "")).toEqual({
      event: "denied",
      device: { id: joiner.id },
    });
  });

  it("is named by the exact line to type, for the same home", async () => {
    const { stdout } = await watch({ home: "/srv/my gatehouse" }, asked, { kind: "paired", device });
    expect(stdout).toContain("\n    gatehouse device approve bbbbbbbb --home '/srv/my gatehouse'\n");
    expect(stdout).toContain("192.0.2.9");
  });

  it("is put to the operator who is there, who hears when it is settled", async () => {
    const heard: string[] = [];
    const operator = {
      ask: (waiting: { readonly id: string }) => void heard.push(`ask ${waiting.id.slice(0, 1)}`),
      settle: (id: string) => void heard.push(`settle ${id.slice(0, 1)}`),
    };
    const how = { openedEvent: "open", operator } as const;
    const { stdout } = await watchWith(how, {}, asked, { kind: "denied", id: joiner.id });
    expect(heard).toEqual(["ask b", "settle b"]);
    expect(stdout).toBe("");
  });
});

describe("a burnt code", () => {
  it("is an alert that quiet does not silence, with what to do, and exit code 5", async () => {
    const { io, recorded } = createIo([], { isTTY: true });
    const here = createContext(io, { quiet: true }, createOutput(io, { quiet: true }));
    const failure = await watchPairing(here, events({ kind: "burnt" }), { openedEvent: "open" }).catch(
      (error: unknown) => error,
    );
    expect(exitCodeFor(failure)).toBe(5);
    expect(failure).toMatchObject({
      code: "pairing.code-burnt",
      hint: expect.stringContaining("--uri-only"),
    });
    expect(recorded().stderr).toContain("\u001b[1m\u001b[31mALERT: somebody at the door tried a wrong code");
  });
});

describe("the QR code as an image", () => {
  it("is a PNG that only its owner reads, and replaces nothing", async () => {
    const directory = await mkdtemp(join(tmpdir(), "gatehouse-png-"));
    try {
      const qrPng = join(directory, "code.png");
      const show = () =>
        watchWith({ openedEvent: "open", qrPng }, { json: true }, { kind: "opened", ...opened });
      expect(JSON.parse((await show()).stdout)).toEqual({ event: "open", ...opened, qrPng });
      const image = await readFile(qrPng);
      expect(image.subarray(0, 8)).toEqual(Buffer.from("\u0089PNG\r\n\u001a\n", "latin1"));
      expect((await stat(qrPng)).mode & 0o777).toBe(0o600);
      await writeFile(qrPng, "mine");
      expect((await show()).exitCode).toBe(7);
      expect(await readFile(qrPng, "utf8")).toBe("mine");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe("a pairing window for people", () => {
  it("names the device without letting the name drive the terminal", async () => {
    const { stdout } = await watch({}, { kind: "paired", device });
    expect(stdout).toBe("paired pho\\u{1b}ne as member (aaaaaaaa…)\n");
  });

  const card = (code: string | undefined, isColored: boolean, address = "127.0.0.1:7443") =>
    pairingCard({
      window: { ...opened, code, expiresAt: 120_000 },
      ...{ nowMs: 0, address, invocation: "gatehouse", style: createStyle(isColored) },
    });

  it("shows code, URI, how long, and the exact line to type elsewhere", async () => {
    const lines = (await card("148092", false)).split("\n").map((line) => line.trim());
    expect(lines).toContain("gatehouse pair join 127.0.0.1:7443 --code 148092");
    expect(lines).toContain("148 092");
    expect(lines).toContain(opened.uri);
    expect(lines[0]).toBe("Pair one device within 2 minutes. Scan this:");
  });

  it("gives the URI to type when there is no code", async () => {
    const text = await card(undefined, false);
    expect(text).toContain(`gatehouse pair join '${opened.uri}'`);
    expect(text).not.toContain("--code");
  });

  it("says when an address answers on this machine only", async () => {
    expect(await card("148092", false)).toContain("this machine only");
    expect(await card("148092", false, "192.0.2.7:7443")).not.toContain("this machine only");
  });

  it("draws the QR code dark on light whatever the theme, and plain without colours", async () => {
    expect(await card("148092", true)).toContain("\u001b[38;5;16;48;5;231m");
    expect(await card("148092", false)).not.toContain("\u001b");
  });
});

describe("the countdown", () => {
  it("is redrawn each second on a terminal and leaves nothing behind", () => {
    const { context: here, recorded } = context({ color: false }, true);
    const clock = new ManualClock();
    const shown = showCountdown(here.output, { clock, expiresAt: clock.now() + 65_000, words: "closes in" });
    clock.advance(2_500);
    shown[Symbol.dispose]();
    clock.advance(5_000);
    const drawn = recorded().stderr.split("\r\u001b[2K").slice(1);
    expect(drawn.map((line) => line.slice(-4))).toEqual(["1:05", "1:04", "1:03", ""]);
  });

  it("is not drawn where nobody looks", () => {
    for (const [options, isTTY] of [
      [{}, false],
      [{ json: true }, true],
      [{ quiet: true }, true],
    ] as const) {
      const { context: here, recorded } = context(options, isTTY);
      showCountdown(here.output, {
        ...{ clock: new ManualClock(), expiresAt: 4_102_444_800_000, words: "closes in" },
      })[Symbol.dispose]();
      expect(recorded().stderr).toBe("");
    }
  });
});
