import { describe, expect, it } from "vitest";
import { RetryTokens } from "../../src/quic/retry-tokens.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const client = { host: "192.0.2.7", port: 4_433 };
const original = Buffer.from("the first id");
const next = Buffer.from("sixteen bytes id");

function setting() {
  const clock = new ManualClock();
  const tokens = new RetryTokens(clock, new SeededRandom(1));
  return { clock, tokens, token: tokens.mint(client, original, next) };
}

describe("a Retry token", () => {
  it("gives back the client's first connection id, to that client", () => {
    const { tokens, token } = setting();
    expect(tokens.check(token, client, next)).toEqual(original);
  });

  it("is nothing from another address, port, connection id or process", () => {
    const { clock, tokens, token } = setting();
    expect(tokens.check(token, { ...client, host: "192.0.2.8" }, next)).toBeUndefined();
    expect(tokens.check(token, { ...client, port: 4_434 }, next)).toBeUndefined();
    expect(tokens.check(token, client, Buffer.from("another bytes id"))).toBeUndefined();
    expect(new RetryTokens(clock, new SeededRandom(2)).check(token, client, next)).toBeUndefined();
  });

  it("is nothing with any bit flipped, at any other length, or empty", () => {
    const { tokens, token } = setting();
    for (let bit = 0; bit < token.length * 8; bit += 1) {
      const flipped = Buffer.from(token);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(tokens.check(flipped, client, next)).toBeUndefined();
    }
    for (let length = 0; length < token.length; length += 1)
      expect(tokens.check(token.subarray(0, length), client, next)).toBeUndefined();
    expect(tokens.check(Buffer.concat([token, Buffer.of(0)]), client, next)).toBeUndefined();
  });

  it("lasts for seconds", () => {
    const { clock, tokens, token } = setting();
    clock.advance(5_000);
    expect(tokens.check(token, client, next)).toEqual(original);
    clock.advance(2);
    expect(tokens.check(token, client, next)).toBeUndefined();
  });
});
