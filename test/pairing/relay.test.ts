import { beforeAll, describe, expect, it } from "vitest";
import type { ChannelBinding, PairingSecret } from "../../src/pairing/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { machines, makeGatehouse, makeJoiner, meet, type TestGatehouse, type TestJoiner } from "./parties.ts";
import { openWindow } from "./windows.ts";

let gatehouse: TestGatehouse;
let other: TestGatehouse;
let joiner: TestJoiner;
let third: TestJoiner;

beforeAll(async () => {
  [gatehouse, other] = await Promise.all([makeGatehouse(), makeGatehouse()]);
  [joiner, third] = await Promise.all([makeJoiner(), makeJoiner()]);
});

/** Two windows of the same code. */
async function twins() {
  const [window, twin] = [
    (await openWindow({ random: new SeededRandom(9) })).window,
    (await openWindow({ random: new SeededRandom(9) })).window,
  ];
  expect(twin.code).toBe(window.code);
  const secret: PairingSecret = { mode: "code", code: window.code ?? "" };
  return { window, twin, secret };
}

describe("a relay between devices that were given the same code", () => {
  it("cannot join a device to another gatehouse than the one it is connected to", async () => {
    const { twin, secret } = await twins();
    const outcome = await meet({
      ...{ gatehouse: other, joiner, window: twin, secret },
      asInitiator: { peerCertificate: gatehouse.certificate },
    });
    expect(outcome).toMatchObject({ result: undefined, gatehouseFailure: "pairing.wrong-code" });
    expect(other.enrolled).toEqual([]);
  });

  it("cannot join two connections whose ends show the same keys: TCP's are told apart by more", async () => {
    const over = (fill: number): ChannelBinding => ({
      kind: "tls-exporter",
      bytes: new Uint8Array(32).fill(fill),
    });
    const own = await makeGatehouse();
    const outcomeOf = async (near: ChannelBinding, far: ChannelBinding) => {
      const { window, secret } = await twins();
      return await meet({
        ...{ gatehouse: own, joiner, window, secret },
        ...{ asInitiator: { binding: near }, asResponder: { binding: far } },
      });
    };
    for (const [near, far] of [
      [over(1), over(2)],
      [over(1), { kind: "none" } as const],
      [{ kind: "none" } as const, over(1)],
    ] as const) {
      expect(await outcomeOf(near, far)).toMatchObject({
        ...{ result: undefined, gatehouseFailure: "pairing.wrong-code" },
      });
    }
    expect((await outcomeOf(over(1), over(1))).result).toBeDefined();
  });

  it("cannot have an exchange bound to less than a whole name of its connection", async () => {
    const { window, secret } = await twins();
    const binding = { kind: "tls-exporter", bytes: new Uint8Array(31) } as const;
    const outcome = await meet({
      ...{ gatehouse, joiner, window, secret },
      ...{ asInitiator: { binding }, asResponder: { binding } },
    });
    expect(outcome).toMatchObject({ result: undefined, gatehouseFailure: "rpc.internal" });
  });

  it("cannot let a third device end what another one began, from whatever message on", async () => {
    for (let handedOver = 1; handedOver <= 3; handedOver += 1) {
      const { window, secret } = await twins();
      const first = machines({ gatehouse, joiner, window, secret });
      const second = machines({ gatehouse, joiner: third, window: undefined, secret });
      let [up, spare] = [first.initiator.start(), second.initiator.start()];
      for (let round = 0; round < 4 && up.length > 0; round += 1) {
        const { bytes: down } = await first.responder.receive(round >= handedOver ? spare : up);
        [up, spare] = [first.initiator.receive(down).bytes, second.initiator.receive(down).bytes];
      }
      expect([first.initiator.result, second.initiator.result]).toEqual([undefined, undefined]);
      // The gatehouse's own confirmation has ended the third device's try before it could send a request.
      expect(window.state, `handed over at message ${handedOver}`).toBe(handedOver < 3 ? "burnt" : "busy");
      expect(spare).toHaveLength(0);
      expect(gatehouse.enrolled).toEqual([]);
    }
  });

  it("cannot have two devices pair with each other by the gatehouse's own messages", async () => {
    const { window, secret } = await twins();
    const { initiator } = machines({ gatehouse, joiner, window, secret });
    const mirrored = initiator.receive(initiator.start());
    expect(mirrored.failure?.code).toBe("pairing.bad-message");
    const pair = [joiner, third].map((one) => machines({ gatehouse, joiner: one, window, secret }).initiator);
    const [a, b] = pair;
    const share = a?.receive(b?.start() ?? new Uint8Array(0));
    const failed = b?.receive(share?.bytes ?? new Uint8Array(0));
    expect(failed?.failure?.code).toBe("pairing.bad-message");
  });
});
