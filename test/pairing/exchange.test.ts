import { beforeAll, describe, expect, it } from "vitest";
import { concat, equalBytes, GatehouseError, systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import type { PairingSecret, PairingWindow } from "../../src/pairing/index.ts";
import { times } from "../support/effort.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import {
  MESSAGES,
  machines,
  makeGatehouse,
  makeJoiner,
  meet,
  type TestGatehouse,
  type TestJoiner,
} from "./parties.ts";
import { openWindow } from "./windows.ts";

let gatehouse: TestGatehouse;
let joiner: TestJoiner;
let mallory: TestJoiner;

beforeAll(async () => {
  [gatehouse, joiner, mallory] = await Promise.all([makeGatehouse(), makeJoiner(), makeJoiner()]);
});

const byCode = (window: PairingWindow): PairingSecret => ({ mode: "code", code: window.code ?? "" });

const byUri = (window: PairingWindow): PairingSecret => ({
  mode: "uri",
  secret: window.uriSecret.slice(),
  gatehouseId: gatehouse.identity.id,
});

const wrongCode = (window: PairingWindow): PairingSecret => ({
  mode: "code",
  code: window.code === "000000" ? "000001" : "000000",
});

/** How many were enrolled while `run` ran. */
async function enrolledBy(run: () => Promise<unknown>): Promise<number> {
  const before = gatehouse.enrolled.length;
  await run();
  return gatehouse.enrolled.length - before;
}

describe("two machines", () => {
  it.each([
    ["the code", byCode],
    ["the URI's secret", byUri],
  ])("that share %s pair, and each knows who the other is", async (_what, secretOf) => {
    const { window, events } = await openWindow();
    const outcome = await meet({ gatehouse, joiner, window, secret: secretOf(window) });
    expect(outcome.result).toMatchObject({
      gatehouseId: gatehouse.identity.id,
      gatehouseName: "home",
      gatehouseKey: gatehouse.identity.publicKey,
      deviceId: joiner.identity.id,
      deviceName: "laptop",
      role: "member",
    });
    expect(gatehouse.enrolled.at(-1)).toMatchObject({
      identityKey: joiner.identity.publicKey,
      name: "laptop",
      kind: "cli",
      platform: "linux x64",
      role: "member",
    });
    expect(outcome.sent).toHaveLength(MESSAGES.length);
    expect(events).toEqual(["paired", "retired"]);
  });

  it("agree the same when every byte arrives alone", async () => {
    const { window } = await openWindow();
    const { initiator, responder } = machines({ gatehouse, joiner, window, secret: byCode(window) });
    let up = initiator.start();
    while (initiator.result === undefined) {
      const down: Uint8Array[] = [];
      for (const byte of up) down.push((await responder.receive(Uint8Array.of(byte))).bytes);
      up = concat(...[...concat(...down)].map((byte) => initiator.receive(Uint8Array.of(byte)).bytes));
    }
    await responder.receive(initiator.acknowledge());
    expect(window.isAccepting).toBe(false);
  });

  it("do not pair on a wrong code, and the right one is dead from then on", async () => {
    const { window, store, events } = await openWindow();
    const wrong = await meet({ gatehouse, joiner, window, secret: wrongCode(window) });
    expect(wrong).toMatchObject({
      result: undefined,
      joinerFailure: "pairing.wrong-code",
      gatehouseFailure: "pairing.wrong-code",
    });
    expect(store.times).toHaveLength(1);
    expect(events).toEqual(["burnt", "retired"]);
    const right = await meet({ gatehouse, joiner, window, secret: byCode(window) });
    expect(right).toMatchObject({ result: undefined, joinerFailure: "pairing.code-burnt" });
  });

  it("do not pair when the window is closed, expired or was never open", async () => {
    const { window, clock } = await openWindow({ ttlMs: 1_000 });
    const secret = byCode(window);
    clock.advance(1_000);
    const code = async (given: PairingWindow | undefined) =>
      (await meet({ gatehouse, joiner, window: given, secret })).joinerFailure;
    expect(await code(window)).toBe("pairing.expired");
    expect(await code(undefined)).toBe("pairing.closed");
    const other = await openWindow();
    other.window.close();
    expect(await code(other.window)).toBe("pairing.closed");
  });

  it("tell the joiner why enrolling failed, and try again in the same window", async () => {
    const { window } = await openWindow();
    const enroll = () =>
      Promise.reject(new GatehouseError("device.name-taken", "that name is taken", { hint: "take another" }));
    const refused = await meet({
      gatehouse,
      joiner,
      window,
      secret: byCode(window),
      asResponder: { enroll },
    });
    expect(refused.joinerFailure).toBe("device.name-taken");
    const again = await meet({ gatehouse, joiner, window, secret: byCode(window) });
    expect(again.result?.deviceName).toBe("laptop");
  });

  it("say nothing about an unexpected failure but that there was one", async () => {
    const { window } = await openWindow();
    const enroll = () => Promise.reject(new Error("/home/alice/secret path"));
    const { sent, joinerFailure } = await meet({
      gatehouse,
      joiner,
      window,
      secret: byCode(window),
      asResponder: { enroll },
    });
    expect(joinerFailure).toBe("rpc.internal");
    expect(Buffer.from(sent.at(-1) ?? []).toString("latin1")).not.toContain("alice");
  });
});

describe("a stranger in the middle", () => {
  it("who ends TLS on both sides with a key of its own gets nobody in, and costs the code", async () => {
    const { window, events } = await openWindow();
    let outcome: Awaited<ReturnType<typeof meet>> | undefined;
    const enrolled = await enrolledBy(async () => {
      outcome = await meet({
        ...{ gatehouse, joiner, window, secret: byCode(window) },
        asResponder: { peerCertificate: mallory.certificate },
        asInitiator: { peerCertificate: mallory.certificate },
      });
    });
    expect(enrolled).toBe(0);
    expect(outcome).toMatchObject({ result: undefined, gatehouseFailure: "pairing.wrong-code" });
    expect(events).toEqual(["burnt", "retired"]);
  });

  it("is noticed when only one side's connection ends at it", async () => {
    const seen = [
      { asResponder: { peerCertificate: mallory.certificate } },
      { asInitiator: { peerCertificate: mallory.certificate } },
    ];
    for (const changed of seen) {
      const { window } = await openWindow();
      const outcome = await meet({ gatehouse, joiner, window, secret: byUri(window), ...changed });
      expect(outcome).toMatchObject({ result: undefined, gatehouseFailure: "pairing.wrong-code" });
    }
  });

  it("cannot pose as the gatehouse that the URI names", async () => {
    const { window } = await openWindow();
    const other = await makeGatehouse();
    const outcome = await meet({ gatehouse: other, joiner, window, secret: byUri(window) });
    expect(outcome).toMatchObject({ result: undefined, joinerFailure: "pairing.wrong-gatehouse" });
    expect(outcome.sent).toHaveLength(2);
  });

  it("who knows the code cannot claim an identity key that is not its own, on either side", async () => {
    const someone = DeviceIdentity.generate(systemRandom);
    const claimed = (own: DeviceIdentity) => ({
      publicKey: someone.publicKey,
      sign: own.sign.bind(own),
    });
    const first = await openWindow();
    const falseJoiner = await meet({
      ...{ gatehouse, joiner, window: first.window, secret: byCode(first.window) },
      asInitiator: { identity: claimed(joiner.identity) },
    });
    expect(falseJoiner).toMatchObject({ result: undefined, gatehouseFailure: "pairing.bad-message" });
    const second = await openWindow();
    const falseGatehouse = await meet({
      ...{ gatehouse, joiner, window: second.window, secret: byCode(second.window) },
      asResponder: { identity: claimed(gatehouse.identity) },
    });
    expect(falseGatehouse).toMatchObject({ result: undefined, joinerFailure: "pairing.bad-message" });
  });

  it("who knows the code cannot have another device's request certified", async () => {
    const { window } = await openWindow();
    const { certificateRequest } = mallory;
    const enrolled = await enrolledBy(async () => {
      const outcome = await meet({
        ...{ gatehouse, joiner, window, secret: byCode(window) },
        asInitiator: { certificateRequest },
      });
      expect(outcome.joinerFailure).toBe("certificate.bad-request");
    });
    expect(enrolled).toBe(0);
  });

  it("cannot hand the joiner a certificate for somebody else, or of another authority", async () => {
    const other = await makeGatehouse();
    const grants = [
      other.enroll,
      (request: Parameters<typeof gatehouse.enroll>[0]) =>
        gatehouse.enroll({ ...request, certificateRequest: mallory.certificateRequest }),
    ];
    for (const enroll of grants) {
      const { window } = await openWindow();
      const outcome = await meet({
        ...{ gatehouse, joiner, window, secret: byCode(window) },
        asResponder: { enroll },
      });
      expect(outcome.result).toBeUndefined();
      expect(outcome.joinerFailure).toMatch(/^(?:pairing\.bad-message|certificate\.)/);
    }
  });

  it("gains nothing by replaying a joiner's messages, in the same window or in one with the same code", async () => {
    const first = await openWindow({ random: new SeededRandom(3) });
    const { sent } = await meet({ gatehouse, joiner, window: first.window, secret: byCode(first.window) });
    const second = await openWindow({ random: new SeededRandom(3) });
    expect(second.window.code).toBe(first.window.code);
    const enrolled = await enrolledBy(async () => {
      for (const { window } of [first, second]) {
        const { responder } = machines({ gatehouse, joiner, window, secret: byCode(window) });
        for (const [index, bytes] of sent.entries()) {
          if (index % 2 === 0) await responder.receive(bytes);
        }
      }
    });
    expect(enrolled).toBe(0);
    expect(second.window.state).toBe("burnt");
  });

  it("is met by both sides' refusal when a bit of any message is changed", { timeout: 120_000 }, async () => {
    const random = new SeededRandom(11);
    const flip = (bytes: Uint8Array, at: number): Uint8Array => {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random.next() * 8));
      return changed;
    };
    const { sent } = await openWindow().then(({ window }) =>
      meet({ gatehouse, joiner, window, secret: byCode(window) }),
    );
    for (const [index, message] of sent.entries()) {
      // One bit in each byte of the small messages, a sample of the large ones' bytes: one MAC covers those whole.
      const stride = Math.max(1, Math.floor(message.length / times({ short: 10, long: 40 })));
      for (let at = 0; at < message.length; at += stride) {
        const { window } = await openWindow();
        const meeting = { gatehouse, joiner, window, secret: byCode(window) };
        const outcome = await meet(meeting, (bytes, number) =>
          number === index ? flip(bytes, Math.min(at, bytes.length - 1)) : bytes,
        );
        const what = `bit in byte ${at} of the ${MESSAGES[index] ?? ""}`;
        expect({
          what,
          hasResult: outcome.result !== undefined,
          isPaired: window.state === "paired",
          isOver: window.state === "paired" && !window.isAccepting,
        }).toEqual({ what, hasResult: index === 8, isPaired: index >= 7, isOver: false });
      }
    }
  });
});

describe("a link that drops", () => {
  it.each(MESSAGES.map((name, index) => [index, name] as const))(
    "at message %d, the %s, costs nothing but a new try",
    async (index) => {
      const { window, store } = await openWindow();
      const meeting = { gatehouse, joiner, window, secret: byCode(window) };
      let device: Uint8Array | undefined;
      const enrolled = await enrolledBy(async () => {
        const first = await meet(meeting, (bytes, number) => (number === index ? undefined : bytes));
        expect(first.result === undefined).toBe(index < 8);
        const second = await meet(meeting);
        expect(second.result).toBeDefined();
        device = second.result?.certificate;
        expect(
          equalBytes(first.result?.certificate ?? device ?? new Uint8Array(), device ?? new Uint8Array()),
        ).toBe(true);
      });
      expect(enrolled).toBe(1);
      expect(store.times).toEqual([]);
    },
  );

  it("does not let another device fetch the grant in its stead", async () => {
    const { window } = await openWindow();
    const secret = byCode(window);
    await meet({ gatehouse, joiner, window, secret }, (bytes, number) => (number === 7 ? undefined : bytes));
    expect(await meet({ gatehouse, joiner: mallory, window, secret })).toMatchObject({
      result: undefined,
      joinerFailure: "pairing.closed",
    });
    // Under the joiner's own name, but without its key.
    const posing = {
      identity: { publicKey: joiner.identity.publicKey, sign: mallory.identity.sign.bind(mallory.identity) },
    };
    const outcome = await meet({ gatehouse, joiner: mallory, window, secret, asInitiator: posing });
    expect(outcome).toMatchObject({ result: undefined, gatehouseFailure: "pairing.closed" });
    // With its TLS key too.
    const { certificate } = joiner;
    const closer = await meet({
      ...{ gatehouse, joiner, window, secret },
      asInitiator: { ...posing, certificate },
    });
    expect(closer).toMatchObject({ result: undefined, gatehouseFailure: "pairing.bad-message" });
  });

  it("tells the joiner whether its code is spent", async () => {
    for (const [index, isSpent] of [false, false, false, false, true, true, false, false].entries()) {
      const { window } = await openWindow();
      const { initiator, responder } = machines({ gatehouse, joiner, window, secret: byCode(window) });
      let up = initiator.start();
      for (let number = 0; number < index; number += 2) {
        const { bytes } = await responder.receive(up);
        if (number + 1 < index) up = initiator.receive(bytes).bytes;
      }
      expect(initiator.isCodeSpent, `dropped at message ${index}`).toBe(isSpent);
    }
  });

  it("leaves a stranger one guess a code, wherever it drops", async () => {
    const windows = times({ short: 100, long: 1_000 });
    const random = new SeededRandom(5);
    let right = 0;
    for (let index = 0; index < windows; index += 1) {
      // Codes 000000 to 000009 only.
      const digit = Math.floor(random.next() * 10);
      const { window } = await openWindow({
        random: {
          bytes: (length) => new Uint8Array(length).fill(length === 4 ? 0 : 9).with(length - 1, digit),
        },
      });
      const guess = (code: number): PairingSecret => ({ mode: "code", code: String(code).padStart(6, "0") });
      const attack = (code: number, stop: number) =>
        meet({ gatehouse, joiner: mallory, window, secret: guess(code) }, (bytes, number) =>
          number === stop ? undefined : bytes,
        );
      const [first, second] = [Math.floor(random.next() * 10), Math.floor(random.next() * 10)];
      await attack(first, Math.floor(random.next() * 4));
      // The gatehouse's confirmation is number 5: seeing it is what a right guess looks like.
      const tries = [await attack(first, 9), await attack(second, 9)];
      if (tries.some(({ result }) => result !== undefined)) right += 1;
    }
    // Five standard deviations around a mean of one in ten.
    const spread = 5 * Math.sqrt(windows * 0.09);
    expect(right).toBeGreaterThan(Math.max(0, windows / 10 - spread));
    expect(right).toBeLessThan(windows / 10 + spread);
  });
});
