/** A stranger who guesses codes of three digits, through the whole machine: real CPace, real messages, no sockets. */
import { type Random, silentLogger, systemRandom } from "../../src/core/index.ts";
import {
  encodePairMessage,
  framePairMessage,
  PairingInitiator,
  PairingLimiter,
  PairingResponder,
  PairingWindow,
} from "../../src/pairing/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { makeGatehouse, makeJoiner, type TestGatehouse, type TestJoiner } from "./parties.ts";
import { MemoryLimiterStore } from "./windows.ts";

const CODES = 1_000;
/** More than any window lets anybody try. */
const TRIES_MAX = 24;

/** ristretto255's neutral element: whatever the code is, the key would be the same. */
const NEUTRAL_SHARE = framePairMessage(encodePairMessage({ kind: "share", element: new Uint8Array(32) }));

/** The last message of its own that the stranger sends in up to three tries before the ones in which it shows a tag. */
export const STOPS = ["nothing", "hello", "share", "neutral share", "confirmation", "any"] as const;
export type Stop = (typeof STOPS)[number];
type Last = Exclude<Stop, "any">;
const LASTS: readonly Last[] = ["nothing", "hello", "share", "neutral share"];

/** What became of one window. */
export interface Siege {
  readonly stop: Stop;
  readonly isTaken: boolean;
  /** Tags of the stranger that the gatehouse has judged. */
  readonly judged: number;
  readonly connections: number;
}

/** One gatehouse and one stranger; a new window for each siege. */
export class Guesser {
  readonly #random: SeededRandom;
  readonly #gatehouse: TestGatehouse;
  readonly #stranger: TestJoiner;
  readonly #limiter: PairingLimiter;

  private constructor(
    random: SeededRandom,
    gatehouse: TestGatehouse,
    stranger: TestJoiner,
    limiter: PairingLimiter,
  ) {
    this.#random = random;
    this.#gatehouse = gatehouse;
    this.#stranger = stranger;
    this.#limiter = limiter;
  }

  static async create(seed: number): Promise<Guesser> {
    const limiter = await PairingLimiter.open(new MemoryLimiterStore(), new ManualClock());
    return new Guesser(new SeededRandom(seed), await makeGatehouse(), await makeJoiner(), limiter);
  }

  /** Opens a window and tries until it is taken or nothing is left to try. */
  async besiege(stop: Stop): Promise<Siege> {
    using window = PairingWindow.open({
      ...{ clock: new ManualClock(), random: this.#threeDigits(), limiter: this.#limiter, role: "member" },
      ...{ code: "forced", onEvent: () => undefined },
    });
    const guesses = this.#guesses();
    const early = Math.floor(this.#random.next() * 4);
    let [judged, connections, isTaken] = [0, 0, false];
    while (connections < TRIES_MAX && !isTaken && window.state === "open") {
      connections += 1;
      const last = connections <= early ? this.#lastOf(stop) : "confirmation";
      const verdict = await this.#connect(window, guesses(), last);
      if (verdict !== "unjudged") judged += 1;
      isTaken = verdict === "right";
    }
    return { stop, isTaken, judged, connections };
  }

  /** One connection, on which the stranger sends its messages up to `last`. */
  async #connect(window: PairingWindow, guess: string, last: Last): Promise<"unjudged" | "right" | "wrong"> {
    const { responder, initiator } = this.#machines(window, guess);
    using _link = responder;
    if (last === "nothing") return "unjudged";
    const { bytes: hello } = await responder.receive(initiator.start());
    if (last === "hello") return "unjudged";
    const own = initiator.receive(hello).bytes;
    const { bytes: share } = await responder.receive(last === "neutral share" ? NEUTRAL_SHARE : own);
    if (last !== "confirmation") return "unjudged";
    const { failure } = await responder.receive(initiator.receive(share).bytes);
    return failure === undefined ? "right" : "wrong";
  }

  #machines(window: PairingWindow, code: string) {
    const { identity, certificate, certificateRequest } = this.#stranger;
    const { enroll } = this.#gatehouse;
    const random = systemRandom;
    const responder = new PairingResponder({
      ...{ window, enroll, random, gatehouseName: "home", logger: silentLogger },
      ...{ identity: this.#gatehouse.identity, certificate: this.#gatehouse.certificate },
      ...{ peerCertificate: certificate, binding: { kind: "none" } },
    });
    const initiator = new PairingInitiator({
      ...{ secret: { mode: "code", code }, identity, certificate, certificateRequest, random },
      ...{ name: "stranger", kind: "cli", platform: "linux x64", clock: new ManualClock() },
      ...{ peerCertificate: this.#gatehouse.certificate, binding: { kind: "none" } },
    });
    return { responder, initiator };
  }

  /** Never the same guess twice in one window. */
  #guesses(): () => string {
    let next = Math.floor(this.#random.next() * CODES);
    return () => {
      next = (next + 1) % CODES;
      return String(next).padStart(6, "0");
    };
  }

  #lastOf(stop: Stop): Last {
    if (stop !== "any") return stop;
    return LASTS[Math.floor(this.#random.next() * LASTS.length)] ?? "nothing";
  }

  /** A window draws its code from four bytes. */
  #threeDigits(): Random {
    return {
      bytes: (length) => {
        if (length !== 4) return systemRandom.bytes(length);
        const code = Math.floor(this.#random.next() * CODES);
        return Uint8Array.of(0, 0, code >> 8, code & 255);
      },
    };
  }
}
