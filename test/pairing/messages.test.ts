import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, equalBytes, isGatehouseError, LIMITS, utf8 } from "../../src/core/index.ts";
import {
  decodePairMessage,
  encodePairMessage,
  framePairMessage,
  type PairMessage,
  PairMessageDecoder,
} from "../../src/pairing/index.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const anyMessage: fc.Arbitrary<PairMessage> = fc.oneof(
  fc.record({
    kind: fc.constant("hello" as const),
    version: fc.constant(1),
    mode: fc.constantFrom("code" as const, "uri" as const),
    nonce: bytes(32),
    identityKey: bytes(32),
  }),
  fc.record({ kind: fc.constant("share" as const), element: bytes(32) }),
  fc.record({ kind: fc.constant("confirm" as const), tag: bytes(64), signature: bytes(64) }),
  fc.record({
    kind: fc.constant("sealed" as const),
    body: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    tag: bytes(64),
  }),
  fc.record({
    kind: fc.constant("refusal" as const),
    code: fc.constantFrom("pairing.wrong-code", ""),
    message: fc.constantFrom("the code is not right", ""),
    hint: fc.constantFrom("ask for another", ""),
    retryAfterMs: fc.nat(900_000),
  }),
);

const refusalOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return isGatehouseError(error) ? error.code : String(error);
  }
  return "none";
};

describe("a pairing message", () => {
  it("says the same after encoding and decoding", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        expect(decodePairMessage(encodePairMessage(message))).toEqual(message);
      }),
    );
  });

  it("is refused when cut anywhere, or followed by anything", () => {
    fc.assert(
      fc.property(anyMessage, fc.uint8Array({ minLength: 1, maxLength: 8 }), (message, extra) => {
        const encoded = encodePairMessage(message);
        for (let length = 0; length < encoded.length; length += 1) {
          expect(refusalOf(() => decodePairMessage(encoded.subarray(0, length)))).toBe("pairing.bad-message");
        }
        expect(refusalOf(() => decodePairMessage(concat(encoded, extra)))).toBe("pairing.bad-message");
      }),
      { numRuns: 20 },
    );
  });

  it("is refused or means something else when any bit is flipped", () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const encoded = encodePairMessage(message);
        for (let bit = 0; bit < encoded.length * 8; bit += 1) {
          const flipped = encoded.slice();
          flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          const outcome = refusalOf(() => {
            expect(decodePairMessage(flipped)).not.toEqual(message);
          });
          expect(["none", "pairing.bad-message"]).toContain(outcome);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("is never anything but a message or a typed refusal, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        expect(["none", "pairing.bad-message"]).toContain(refusalOf(() => decodePairMessage(noise)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("has one spelling: unknown fields and spelled-out defaults are refused", () => {
    const share = encodePairMessage({ kind: "share", element: new Uint8Array(32).fill(7) });
    const inner = share.subarray(2);
    const withUnknown = concat(Uint8Array.of(0x12, inner.length + 2), inner, Uint8Array.of(0x78, 0x01));
    expect(refusalOf(() => decodePairMessage(withUnknown))).toBe("pairing.bad-message");
    const twice = concat(share, share);
    expect(refusalOf(() => decodePairMessage(twice))).toBe("pairing.bad-message");
  });

  it("shows no control characters of a stranger's on anybody's terminal", () => {
    const refusal = { kind: "refusal", code: "pairing.closed", hint: "", retryAfterMs: 0 } as const;
    for (const message of ["\u001b[2J", "line\nline", "\u202etfel", "\u0000"]) {
      const encoded = encodePairMessage({ ...refusal, message });
      expect(refusalOf(() => decodePairMessage(encoded))).toBe("pairing.bad-message");
    }
  });
});

describe("the pairing stream's decoder", () => {
  const someMessages = fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 }), { maxLength: 6 });

  it("cuts the same messages from any split of the bytes", () => {
    fc.assert(
      fc.property(someMessages, fc.array(fc.nat(2_500)), (messages, cuts) => {
        const stream = concat(...messages.map(framePairMessage));
        const decoder = new PairMessageDecoder();
        const ends = [...cuts.filter((cut) => cut < stream.length).sort((a, b) => a - b), stream.length];
        let start = 0;
        const found: Uint8Array[] = [];
        for (const end of ends) {
          found.push(...decoder.push(stream.subarray(start, end)).map((view) => view.slice()));
          start = end;
        }
        expect(found.length).toBe(messages.length);
        expect(found.every((message, index) => equalBytes(message, messages[index] ?? utf8("")))).toBe(true);
        expect(decoder.isEmpty).toBe(true);
      }),
    );
  });

  it("waits for the rest of a message cut anywhere", () => {
    const framed = framePairMessage(new Uint8Array(200).fill(1));
    for (let length = 0; length < framed.length; length += 1) {
      const decoder = new PairMessageDecoder();
      expect(decoder.push(framed.subarray(0, length))).toEqual([]);
      expect(decoder.push(framed.subarray(length))).toHaveLength(1);
    }
  });

  it.each([
    ["nothing", [0x00]],
    ["one byte more than allowed", [0x81, 0x80, 0x01]],
    ["a length of four bytes", [0x81, 0x80, 0x80, 0x00]],
    ["a padded length", [0x81, 0x00]],
  ])("refuses a message of %s before its bytes come", (_what, head) => {
    expect(refusalOf(() => new PairMessageDecoder().push(Uint8Array.from(head)))).toBe("pairing.bad-message");
  });

  it("takes the largest message there may be, and frames no larger one", () => {
    const largest = new Uint8Array(LIMITS.pairingMessageBytes).fill(9);
    expect(new PairMessageDecoder().push(framePairMessage(largest))).toHaveLength(1);
    expect(() => framePairMessage(concat(largest, Uint8Array.of(1)))).toThrow(RangeError);
  });
});
