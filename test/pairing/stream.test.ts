import { beforeAll, describe, expect, it } from "vitest";
import { type GatehouseError, isGatehouseError, LIMITS } from "../../src/core/index.ts";
import {
  joinPairing,
  type PairingStream,
  type PairingStreamSink,
  type PairingWindow,
  servePairing,
} from "../../src/pairing/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { machines, makeGatehouse, makeJoiner, meet, type TestGatehouse, type TestJoiner } from "./parties.ts";
import { openWindow } from "./windows.ts";

/** One end of a stream in memory: what one side writes, the other reads in a later turn, in one lent buffer. */
class MemoryStream implements PairingStream {
  peer: MemoryStream | undefined;
  onWrite: () => void = () => undefined;
  #sink: PairingStreamSink | undefined;
  #arrived: { readonly bytes: Uint8Array; readonly fin: boolean }[] = [];
  #isPaused = false;
  #isCut = false;

  static pair(): [MemoryStream, MemoryStream] {
    const [a, b] = [new MemoryStream(), new MemoryStream()];
    a.peer = b;
    b.peer = a;
    return [a, b];
  }

  attach(sink: PairingStreamSink): void {
    this.#sink = sink;
    queueMicrotask(() => this.#deliver());
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    this.onWrite();
    this.peer?.arrive(bytes, fin);
    return true;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    queueMicrotask(() => this.#deliver());
  }

  arrive(bytes: Uint8Array, fin: boolean): void {
    if (this.#isCut) return;
    this.#arrived.push({ bytes: bytes.slice(), fin });
    queueMicrotask(() => this.#deliver());
  }

  /** The connection is gone, for both sides. */
  cut(): void {
    for (const end of [this, this.peer]) {
      if (end === undefined || end.#isCut) continue;
      end.#isCut = true;
      end.#arrived = [];
      end.#sink?.closed(undefined);
    }
  }

  #deliver(): void {
    while (!this.#isPaused && this.#sink !== undefined && this.#arrived.length > 0) {
      const next = this.#arrived.shift();
      if (next === undefined) return;
      this.#sink.data(next.bytes, next.fin);
      next.bytes.fill(0xee);
    }
  }
}

let gatehouse: TestGatehouse;
let joiner: TestJoiner;

beforeAll(async () => {
  [gatehouse, joiner] = await Promise.all([makeGatehouse(), makeJoiner()]);
});

function connect(window: PairingWindow, code = window.code ?? "") {
  const clock = new ManualClock();
  const pending: number[] = [];
  const controller = new AbortController();
  const [near, far] = MemoryStream.pair();
  const { initiator, responder } = machines({ gatehouse, joiner, window, secret: { mode: "code", code } });
  const served = servePairing(far, responder, clock);
  const onPending = (timeoutMs: number): void => void pending.push(timeoutMs);
  const join = () => joinPairing(near, initiator, { signal: controller.signal, clock, onPending });
  return { near, far, served, join, clock, controller, pending };
}

const codeOf = (error: unknown): string => (isGatehouseError(error) ? error.code : String(error));

const failureOf = async (promise: Promise<unknown>): Promise<string> =>
  await promise.then(() => "none", codeOf);

describe("pairing over a stream", () => {
  it("ends with a grant that the joiner acknowledges, and a window that has retired", async () => {
    const { window } = await openWindow();
    const { join, served } = connect(window);
    const { result, acknowledge } = await join();
    expect(result.deviceId).toBe(joiner.identity.id);
    expect(window.isAccepting).toBe(true);
    await acknowledge();
    expect(await served).toBeUndefined();
    expect(window.isAccepting).toBe(false);
  });

  it("fails on both sides with the gatehouse's refusal when the code is wrong", async () => {
    const { window } = await openWindow();
    const { join, served } = connect(window, window.code === "000000" ? "000001" : "000000");
    expect(await failureOf(join())).toBe("pairing.wrong-code");
    expect(codeOf(await served)).toBe("pairing.wrong-code");
  });

  it("frees the window when the link is cut at any write, and fails the joiner", async () => {
    for (let writes = 1; writes <= 8; writes += 1) {
      const { window } = await openWindow();
      const { join, served, near, far } = connect(window);
      let count = 0;
      near.onWrite = far.onWrite = () => {
        count += 1;
        if (count === writes) queueMicrotask(() => near.cut());
      };
      await failureOf(join());
      await served;
      expect(window.state).not.toBe("busy");
    }
  });

  it("refuses a stranger that never says hello", async () => {
    const { window } = await openWindow();
    const { served, clock } = connect(window);
    clock.advance(LIMITS.pairingProofMs);
    expect(codeOf(await served)).toBe("pairing.expired");
  });

  it("tells a joiner that stays silent that its time is up", async () => {
    const { window, clock } = await openWindow();
    const { join, served, near } = connect(window);
    near.onWrite = () => {
      // The hello goes out; the share is never sent.
      near.onWrite = () => clock.advance(LIMITS.pairingProofMs);
    };
    expect(await failureOf(join())).toBe("pairing.expired");
    expect(codeOf(await served)).toBe("pairing.expired");
    expect(window.state).toBe("open");
  });

  it("gives up with the signal's reason", async () => {
    const { window } = await openWindow();
    const { join, controller, near } = connect(window);
    near.onWrite = () => controller.abort(new Error("enough"));
    expect(await failureOf(join())).toBe("Error: enough");
    expect(await failureOf(join())).toBe("Error: enough");
  });

  it("answers garbage with a refusal and nothing else", async () => {
    const { window } = await openWindow();
    const { served, near } = connect(window);
    const heard: Uint8Array[] = [];
    let ended = false;
    near.attach({
      data: (bytes, fin) => {
        heard.push(bytes.slice());
        ended = fin;
      },
      drain: () => undefined,
      closed: () => undefined,
    });
    near.write(Uint8Array.of(3, 1, 2, 3), false);
    const failure: GatehouseError | undefined = await served;
    expect(failure?.code).toBe("pairing.bad-message");
    await Promise.resolve();
    expect(heard).toHaveLength(1);
    expect(ended).toBe(true);
    expect(window.state).toBe("open");
  });
});

describe("a joiner that somebody is asked about", () => {
  /** Connected up to where the joiner waits. */
  async function waiting() {
    const opened = await openWindow({ requireApproval: true });
    const connected = connect(opened.window);
    const joining = connected.join();
    joining.catch(() => undefined);
    await until(() => connected.pending.length > 0);
    return { ...opened, ...connected, windowClock: opened.clock, joining };
  }

  it("hears that it is asked about, and gets its grant after the yes", async () => {
    const { window, joining, pending, served } = await waiting();
    expect(pending).toEqual([LIMITS.pairingApprovalMs]);
    window.decide(joiner.identity.id, "approve");
    const { result, acknowledge } = await joining;
    expect(result.deviceId).toBe(joiner.identity.id);
    await acknowledge();
    expect(await served).toBeUndefined();
    expect(window.isAccepting).toBe(false);
  });

  it("hears of a no, of no answer at all, and that the window was closed", async () => {
    const cases = [
      ["pairing.denied", ({ window }) => window.decide(joiner.identity.id, "deny")],
      ["pairing.expired", ({ windowClock }) => windowClock.advance(LIMITS.pairingApprovalMs)],
      ["pairing.closed", ({ window }) => window.close()],
    ] satisfies [string, (parts: Awaited<ReturnType<typeof waiting>>) => unknown][];
    for (const [code, end] of cases) {
      const parts = await waiting();
      end(parts);
      expect(await failureOf(parts.joining)).toBe(code);
      expect(codeOf(await parts.served)).toBe(code);
    }
  });

  it("waits as long as the answer may take, and not for ever", async () => {
    const { joining, clock } = await waiting();
    clock.advance(LIMITS.pairingApprovalMs + LIMITS.pairingExchangeMs - 1);
    expect(await Promise.race([joining.catch(() => "over"), settled()])).toBe("still waiting");
    clock.advance(1);
    expect(await failureOf(joining)).toBe("quic.timed-out");
  });

  it("is refused when it says anything while it waits", async () => {
    const { window, joining, near } = await waiting();
    near.write(Uint8Array.of(1, 0), false);
    expect(await failureOf(joining)).toBe("pairing.bad-message");
    // The question stays, for whoever comes back to it.
    expect(window.waiting).toHaveLength(1);
  });

  it("comes back over another connection after its link broke, and gets the answer that was given meanwhile", async () => {
    const { window, joining, near, served } = await waiting();
    near.cut();
    expect(await failureOf(joining)).toBe("quic.closed");
    await served;
    window.decide(joiner.identity.id, "approve");
    const { join, pending } = connect(window);
    expect((await join()).result.deviceId).toBe(joiner.identity.id);
    expect(pending).toEqual([]);
  });

  it("comes back while the gatehouse still believes in its first link", async () => {
    const { window, served } = await waiting();
    const { join, pending } = connect(window);
    const joining = join();
    await until(() => pending.length > 0);
    expect(codeOf(await served)).toBe("pairing.closed");
    window.decide(joiner.identity.id, "approve");
    expect((await joining).result.deviceId).toBe(joiner.identity.id);
  });

  it("says whose place it wants, and that is what gets enrolled", async () => {
    const { window } = await openWindow({ findByName: () => "the old one" });
    const secret = { mode: "code", code: window.code ?? "" } as const;
    const decide = (): void => void window.decide(joiner.identity.id, "approve");
    const meeting = { gatehouse, joiner, window, secret, decide };
    expect(await meet(meeting)).toMatchObject({ result: undefined, joinerFailure: "device.name-taken" });
    expect((await meet({ ...meeting, asInitiator: { replace: true } })).result).toBeDefined();
    expect(gatehouse.enrolled.at(-1)).toMatchObject({ name: "laptop", replaces: "the old one" });
  });

  it("gives up on a gatehouse that does not go on", async () => {
    const { window } = await openWindow();
    const { join, far, clock } = connect(window);
    far.write = () => true;
    const joining = join();
    clock.advance(LIMITS.pairingExchangeMs);
    expect(await failureOf(joining)).toBe("quic.timed-out");
  });
});

/** Lets what is under way in memory run until `isSo`. */
async function until(isSo: () => boolean): Promise<void> {
  for (let turns = 0; !isSo(); turns += 1) {
    if (turns > 10_000) throw new Error("nothing more happens");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function settled(): Promise<string> {
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  return "still waiting";
}
