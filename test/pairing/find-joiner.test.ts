import { describe, expect, it } from "vitest";
import { systemRandom, unixMs } from "../../src/core/index.ts";
import { DeviceIdentity, formatDeviceId } from "../../src/identity/index.ts";
import { findJoiner, type Joiner } from "../../src/pairing/index.ts";
import { refusalOf } from "./windows.ts";

const { id } = DeviceIdentity.generate(systemRandom);

const joiner = (deviceId: string): Joiner => ({
  ...{ deviceId, name: "laptop", kind: "cli", platform: "linux x64", role: "member", replaces: "" },
  ...{ expiresAt: unixMs(1_700_000_000_000), remoteAddress: "192.0.2.1" },
});

describe("a joiner that waits", () => {
  const waiting = [joiner(id), joiner("abcdefgi2222"), joiner("abcdefgi3333")];

  it("is found by its id in any spelling, and by its first eight characters or more", () => {
    for (const text of [id, formatDeviceId(id).toUpperCase(), id.slice(0, 8), id.slice(0, 30), ` ${id} `]) {
      expect(findJoiner(waiting, text).deviceId).toBe(id);
    }
  });

  it("is found although i, l and 1 were taken for one another", () => {
    for (const text of ["abcdefg12", "ABCDEFGL2", "abcd-efgi-2"]) {
      expect(findJoiner(waiting, text).deviceId).toBe("abcdefgi2222");
    }
  });

  it.each(["", "abcdefg", "zzzzzzzz", "laptop"])("is not found by %j", (text) => {
    expect(refusalOf(() => findJoiner(waiting, text))).toBe("pairing.not-waiting");
  });

  it("is not guessed at when several match", () => {
    expect(() => findJoiner(waiting, "abcdefgi")).toThrow(
      expect.objectContaining({
        code: "pairing.not-waiting",
        hint: expect.stringContaining("2 who wait match"),
      }),
    );
  });
});
