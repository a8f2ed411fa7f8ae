import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createContext, createOutput } from "../../src/cli/context.ts";
import { Interrupted } from "../../src/cli/failure.ts";
import type { Joiner } from "../../src/cli/joiner.ts";
import { JoinerQuestions } from "../../src/cli/joiner-questions.ts";
import { showCountdown } from "../../src/cli/pairing-card.ts";
import { GatehouseError } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { createIo, type Recorded } from "./support.ts";

const NOW = 1_700_000_000_000;
const CLEAR = "\r\u001b[2K";

function joiner(letter: string, more: Partial<Joiner> = {}): Joiner {
  return {
    ...{
      id: letter.repeat(56),
      name: `lap\u001btop-${letter}`,
      kind: "cli",
      platform: "linux-x64",
      role: "member",
    },
    ...{ replaces: "", expiresAt: NOW + 120_000, remoteAddress: "192.0.2.9", ...more },
  };
}

/** A person at a terminal who is asked about joiners. */
describe("a joiner that waits", () => {
  let keyboard: PassThrough;
  let recorded: Recorded;
  let clock: ManualClock;
  let questions: JoinerQuestions;
  let decisions: (readonly [id: string, approve: boolean])[];
  let refusal: GatehouseError | undefined;
  let isSlow: Promise<void> | undefined;
  let output: ReturnType<typeof createOutput>;

  beforeEach(() => {
    keyboard = new PassThrough();
    clock = new ManualClock(NOW);
    decisions = [];
    refusal = undefined;
    isSlow = undefined;
    const made = createIo([], { isTTY: true, stdin: keyboard });
    recorded = made.recorded;
    output = createOutput(made.io, {});
    questions = new JoinerQuestions({
      context: createContext(made.io, {}, output),
      decide: async (id, approve) => {
        decisions.push([id.slice(0, 1), approve]);
        await isSlow;
        if (refusal !== undefined) throw refusal;
      },
      clock,
    });
  });
  afterEach(() => questions[Symbol.asyncDispose]());

  const asked = async (times: number) => {
    await vi.waitFor(() => expect(recorded().stderr.split("Let it in? [y/N] ")).toHaveLength(times + 1));
  };
  const untilDecisions = (count: number) => vi.waitUntil(() => decisions.length === count);

  it("is shown with all that it says of itself, made printable, and let in by a y", async () => {
    questions.ask(joiner("a"));
    await asked(1);
    const shown = recorded().stderr;
    for (const part of [
      "lap\\u{1b}top-a",
      "cli, linux-x64",
      "aaaa aaaa",
      "member",
      "192.0.2.9",
      "2 minutes more",
    ]) {
      expect(shown).toContain(part);
    }
    expect(shown).not.toContain("REPLACES");
    keyboard.write("y\n");
    await untilDecisions(1);
    expect(decisions).toEqual([["a", true]]);
  });

  it("is refused by anything but a y, the bare enter key included", async () => {
    questions.ask(joiner("a"));
    await asked(1);
    keyboard.write("\n");
    await untilDecisions(1);
    expect(decisions).toEqual([["a", false]]);
  });

  it("that takes another device's place says so in red", async () => {
    questions.ask(joiner("a", { replaces: "z".repeat(56) }));
    await asked(1);
    expect(recorded().stderr).toContain("\u001b[31mREPLACES the device of this name (zzzzzzzz…)");
  });

  it("is asked about after the one before it", async () => {
    questions.ask(joiner("a"));
    questions.ask(joiner("b"));
    await asked(1);
    expect(recorded().stderr).not.toContain("top-b");
    keyboard.write("y\n");
    await asked(2);
    keyboard.write("n\n");
    await untilDecisions(2);
    expect(decisions).toEqual([
      ["a", true],
      ["b", false],
    ]);
  });

  it("that was answered elsewhere is not asked about any more, and the next one is", async () => {
    questions.ask(joiner("a"));
    questions.ask(joiner("b"));
    await asked(1);
    questions.settle("a".repeat(56));
    await asked(2);
    keyboard.write("y\n");
    await untilDecisions(1);
    expect(decisions).toEqual([["b", true]]);
    expect(questions.givenUp.aborted).toBe(false);
  });

  it("that is settled leaves the line, so that what comes next begins a new one", async () => {
    questions.ask(joiner("a"));
    await asked(1);
    questions.settle("a".repeat(56));
    expect(recorded().stderr.endsWith("[y/N] \n")).toBe(true);
  });

  it("was answered before the questions are gone", async () => {
    let finish = (): void => undefined;
    isSlow = new Promise((resolve) => {
      finish = resolve;
    });
    questions.ask(joiner("a"));
    await asked(1);
    keyboard.write("n\n");
    await untilDecisions(1);
    let isGone = false;
    const gone = questions[Symbol.asyncDispose]().then(() => {
      isGone = true;
    });
    await new Promise(setImmediate);
    expect(isGone).toBe(false);
    finish();
    await gone;
    expect(recorded().stderr).not.toContain("error");
  });

  it("is asked about for no longer than it waits", async () => {
    questions.ask(joiner("a"));
    questions.ask(joiner("b"));
    questions.ask(joiner("c", { expiresAt: NOW + 240_000 }));
    await asked(1);
    clock.advance(120_000);
    await asked(2);
    expect(recorded().stderr).toContain("top-c");
    expect(recorded().stderr).not.toContain("top-b");
    expect(decisions).toEqual([]);
  });

  it("keeps the countdown off the line that somebody types on", async () => {
    using _countdown = showCountdown(output, { clock, expiresAt: NOW + 300_000, words: "closes in" });
    questions.ask(joiner("a"));
    await asked(1);
    clock.advance(3_000);
    expect(recorded().stderr.endsWith("[y/N] ")).toBe(true);
    keyboard.write("y\n");
    await untilDecisions(1);
    expect(decisions).toEqual([["a", true]]);
    clock.advance(1_000);
    expect(recorded().stderr.split(CLEAR).at(-1)).toContain("closes in 4:56");
  });

  it("whose answer the gatehouse does not want is complained about, and the window stays", async () => {
    refusal = new GatehouseError("pairing.not-waiting", "nobody by that id waits", { hint: "look again" });
    questions.ask(joiner("a"));
    await asked(1);
    keyboard.write("y\n");
    await vi.waitFor(() => expect(recorded().stderr).toMatch(/nobody by that id waits.*look again/s));
    expect(questions.givenUp.aborted).toBe(false);
  });

  it("is not worth more than a Ctrl-C, which gives up everything", async () => {
    questions.ask(joiner("a"));
    await asked(1);
    keyboard.write("\u0003");
    await vi.waitFor(() => expect(questions.givenUp.aborted).toBe(true));
    expect(questions.givenUp.reason).toBeInstanceOf(Interrupted);
    expect(decisions).toEqual([]);
  });
});
