import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, isGatehouseError } from "../../src/core/index.ts";
import {
  type DeviceId,
  deviceIdOf,
  fingerprintOf,
  formatDeviceId,
  isDeviceId,
  parseDeviceId,
  shortDeviceId,
} from "../../src/identity/index.ts";

const publicKeys = fc.uint8Array({ minLength: 32, maxLength: 32 });
const ids = publicKeys.map(deviceIdOf);
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** i, l and 1 stand for one another, as does 0 for o. */
const sound = (text: string): string => text.replace(/[1il]/g, "1").replaceAll("o", "0");

describe("a device id", () => {
  it("is 52 characters of the key's SHA-256 and 4 of its check, for ever", () => {
    const rfc8032Test1 = fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    expect(fingerprintOf(rfc8032Test1)).toBe(
      "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9",
    );
    expect(deviceIdOf(rfc8032Test1)).toBe("eh7ddx5bksrgcytl7bkai36se4nxx3klnk7elksyq57pi74xeg4qmi3u");
  });

  it("is canonical text that parses to itself", () => {
    fc.assert(
      fc.property(ids, (id) => {
        expect(id).toMatch(/^[a-z2-7]{56}$/);
        expect(parseDeviceId(id)).toBe(id);
        expect(isDeviceId(id)).toBe(true);
        expect(isDeviceId(id.toUpperCase())).toBe(false);
      }),
    );
  });

  it("is understood in groups, in capitals, with spaces, and with 0 for o", () => {
    fc.assert(
      fc.property(ids, (id) => {
        const grouped = formatDeviceId(id);
        expect(grouped.split("-")).toHaveLength(7);
        expect(grouped.startsWith(`${shortDeviceId(id)}-`)).toBe(true);
        for (const text of [grouped, grouped.toUpperCase(), ` ${grouped.replaceAll("-", " ")}\n`]) {
          expect(parseDeviceId(text.replace(/o/gi, "0"))).toBe(id);
        }
      }),
    );
  });

  it("is understood whichever of i, l and 1 was read", () => {
    const few = ids.filter((id) => (id.match(/[il]/g) ?? []).length <= 10);
    fc.assert(
      fc.property(few, fc.constantFrom("1", "i", "l", "I"), (id, letter) => {
        expect(parseDeviceId(id.replace(/[il]/g, letter))).toBe(id);
      }),
    );
  });

  it("is refused with any one character changed or two neighbours swapped", () => {
    const id = deviceIdOf(new Uint8Array(32).fill(7));
    for (let at = 0; at < id.length; at += 1) {
      for (const character of ALPHABET) {
        const text = id.slice(0, at) + character + id.slice(at + 1);
        expect(readAs(text)).toBe(sound(text) === sound(id) ? id : undefined);
      }
      const text = id.slice(0, at) + id.charAt(at + 1) + id.charAt(at) + id.slice(at + 2);
      expect(readAs(text)).toBe(sound(text) === sound(id) ? id : undefined);
    }
  });

  it("is refused at every other length, and with characters from elsewhere", () => {
    const id = deviceIdOf(new Uint8Array(32));
    for (let size = 0; size < id.length; size += 1) {
      expect(() => parseDeviceId(id.slice(0, size))).toThrow("56 letters and digits");
    }
    for (const text of [`${id}a`, `é${id.slice(1)}`, `8${id.slice(1)}`, id.repeat(100), " ".repeat(1e6)]) {
      expect(() => parseDeviceId(text)).toThrow(expect.objectContaining({ code: "identity.bad-device-id" }));
    }
  });

  it("comes from keys of 32 bytes only", () => {
    expect(() => deviceIdOf(new Uint8Array(31))).toThrow(RangeError);
    expect(() => fingerprintOf(new Uint8Array(33))).toThrow(RangeError);
  });
});

/** What `text` is taken for; `undefined` when it is refused as it should be. */
function readAs(text: string): DeviceId | undefined {
  try {
    return parseDeviceId(text);
  } catch (failure) {
    if (isGatehouseError(failure, "identity.bad-device-id")) return undefined;
    throw failure;
  }
}
