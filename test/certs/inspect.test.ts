import { beforeAll, describe, expect, it } from "vitest";
import {
  certificatePem,
  inspectLeaf,
  type LeafFacts,
  type LeafUsage,
  selfSignedLeaf,
  spkiOf,
} from "../../src/certs/index.ts";
import { concat, isGatehouseError, LIMITS, unixMs } from "../../src/core/index.ts";
import { generateTlsKey, sha256 } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import {
  authority,
  DAY_MS,
  dnsOf,
  type Forgery,
  forge,
  impostor,
  intermediate,
  leaf,
  NOW,
  parts,
  profile,
  profileWith,
  random,
  type TestAuthority,
  uriOf,
} from "./forge.ts";

let ca: TestAuthority;
let device: DeviceIdentity;
let good: Uint8Array;

beforeAll(async () => {
  ca = await authority();
  device = DeviceIdentity.generate(random);
  good = await leaf(ca, device, "device");
});

function inspect(chain: readonly Uint8Array[], usage: LeafUsage = "device", now = NOW): LeafFacts {
  return inspectLeaf(chain, { caCertificates: [ca.der], gatehouseId: ca.gatehouse.id, usage, now });
}

/** `ok`, an error's code, or what it should never be. */
function outcome(chain: readonly Uint8Array[], usage: LeafUsage = "device", now = NOW): string {
  try {
    inspect(chain, usage, now);
    return "ok";
  } catch (failure) {
    return isGatehouseError(failure) ? failure.code : `not typed: ${String(failure)}`;
  }
}

describe("a leaf that Gatehouse issued", () => {
  it("says whose it is, by which key, and how long", () => {
    const facts = inspect([good]);
    expect(facts.deviceId).toBe(device.id);
    expect(facts.spkiSha256).toEqual(sha256(device.tls.spki));
    expect(facts.serial).toMatch(/^[4-7][0-9a-f]{31}$/);
    expect(facts.expiresAt).toBe(NOW + LIMITS.certificateLifetimeMs);
    expect(spkiOf(good)).toEqual(device.tls.spki);
  });

  it("is good from five minutes before it was made until it expires, and not a millisecond longer", () => {
    const expiresAt = inspect([good]).expiresAt;
    const starts = NOW - LIMITS.certificateBackdateMs;
    expect(outcome([good], "device", unixMs(starts))).toBe("ok");
    expect(outcome([good], "device", unixMs(starts - 1))).toBe("certificate.expired");
    expect(outcome([good], "device", unixMs(expiresAt - 1))).toBe("ok");
    expect(outcome([good], "device", expiresAt)).toBe("certificate.expired");
  });

  it("is refused for the other usage", async () => {
    expect(outcome([good], "server")).toBe("certificate.wrong-profile");
    const server = await leaf(ca, ca.gatehouse, "server");
    expect(inspect([server], "server").deviceId).toBe(ca.gatehouse.id);
    expect(outcome([server], "device")).toBe("certificate.wrong-profile");
  });

  it("is refused as a server's unless it is the gatehouse's own", async () => {
    expect(outcome([await leaf(ca, device, "server")], "server")).toBe("certificate.wrong-profile");
  });

  it("is found among several authorities, and refused when the authority has run out", async () => {
    const other = await authority(ca.gatehouse);
    const both = {
      caCertificates: [other.der, ca.der],
      gatehouseId: ca.gatehouse.id,
      usage: "device",
    } as const;
    expect(inspectLeaf([good], { ...both, now: NOW }).deviceId).toBe(device.id);
    const longLived = await forge(ca, device, { notAfter: NOW + 20 * 366 * DAY_MS });
    expect(outcome([longLived])).toBe("ok");
    expect(outcome([longLived], "device", unixMs(NOW + 3_651 * DAY_MS))).toBe("certificate.expired");
  });

  it("stays itself through PEM, in lines of 64", () => {
    const pem = certificatePem(good);
    const lines = pem.trim().split("\n");
    expect(lines[0]).toBe("-----BEGIN CERTIFICATE-----");
    expect(Math.max(...lines.map((line) => line.length))).toBe(64);
    expect(new Uint8Array(Buffer.from(lines.slice(1, -1).join(""), "base64"))).toEqual(good);
  });
});

describe("a certificate of the right authority outside of the profile", () => {
  it("would pass if nothing were changed", async () => {
    expect(outcome([await forge(ca, device, {})])).toBe("ok");
  });

  const mutants: Readonly<Record<string, () => Forgery>> = {
    "without extended key usage": () => ({ extensions: profileWith(ca, device.id, 2) }),
    "for both usages": () => ({
      extensions: profileWith(ca, device.id, 2, parts.uses("device", "server")),
    }),
    "without key usage": () => ({ extensions: profileWith(ca, device.id, 1) }),
    "with key usage that is not critical": () => ({
      extensions: profileWith(ca, device.id, 1, parts.keyUsage(false)),
    }),
    "that may sign certificates": () => ({
      extensions: profileWith(ca, device.id, 1, parts.keyUsageMore()),
    }),
    "without basic constraints": () => ({ extensions: profileWith(ca, device.id, 0) }),
    "with basic constraints that are not critical": () => ({
      extensions: profileWith(ca, device.id, 0, parts.constraints(false)),
    }),
    "that is an authority": () => ({ extensions: profileWith(ca, device.id, 0, parts.authority()) }),
    "without names": () => ({ extensions: profileWith(ca, device.id, 3) }),
    "with names that are not critical": () => ({
      extensions: profileWith(ca, device.id, 3, parts.names([uriOf(ca, device.id)], false)),
    }),
    "with a subject": () => ({ subject: "CN=device" }),
    "with a subject key identifier": () => ({
      extensions: [...profile(ca, device.id, "device"), parts.subjectKey()],
    }),
    "with a DNS name on a device": () => ({
      extensions: profileWith(ca, device.id, 3, parts.names([uriOf(ca, device.id), dnsOf(ca)])),
    }),
    "with a DNS name alone": () => ({
      extensions: profileWith(ca, device.id, 3, parts.names([dnsOf(ca)])),
    }),
    "with an e-mail address": () => ({
      extensions: profileWith(
        ...([
          ca,
          device.id,
          3,
          parts.names([uriOf(ca, device.id), { type: "email", value: "a@b.c" }]),
        ] as const),
      ),
    }),
    "with an IP address": () => ({
      extensions: profileWith(
        ...([
          ca,
          device.id,
          3,
          parts.names([uriOf(ca, device.id), { type: "ip", value: "127.0.0.1" }]),
        ] as const),
      ),
    }),
    "with two URIs": () => ({
      extensions: profileWith(
        ...([ca, device.id, 3, parts.names([uriOf(ca, device.id), uriOf(ca, ca.gatehouse.id)])] as const),
      ),
    }),
    "with a port in its URI": () => withUri((uri) => uri.replace(".internal/", ".internal:443/")),
    "with capitals in its URI": () => withUri((uri) => uri.replace("spiffe", "SPIFFE")),
    "with its id in capitals": () => withUri((uri) => uri.replace(device.id, device.id.toUpperCase())),
    "with more path in its URI": () => withUri((uri) => `${uri}/x`),
    "with a URI of another gatehouse": () => withUri((uri) => uri.replace(ca.gatehouse.id, device.id)),
    "with an id whose check is wrong": () =>
      withUri((uri) => uri.slice(0, -1) + (uri.endsWith("a") ? "b" : "a")),
  };

  function withUri(change: (uri: string) => string): Forgery {
    const value = change(uriOf(ca, device.id).value);
    return { extensions: profileWith(ca, device.id, 3, parts.names([{ type: "url", value }])) };
  }

  it.each(Object.keys(mutants))("%s is refused", async (name) => {
    const mutant = await forge(ca, device, mutants[name]?.() ?? {});
    expect(outcome([mutant])).toBe("certificate.wrong-profile");
  });

  it("of a date to come or gone is refused", async () => {
    expect(outcome([await forge(ca, device, { notBefore: NOW + 1_000 })])).toBe("certificate.expired");
    expect(outcome([await forge(ca, device, { notAfter: NOW - 1_000 })])).toBe("certificate.expired");
  });
});

describe("a certificate of anybody else", () => {
  it("is refused: another gatehouse's, an impostor's of the same name, a self-signed one", async () => {
    const stranger = await leaf(await authority(), device, "device");
    const sameName = await leaf(await impostor(ca), device, "device");
    const selfSigned = await selfSignedLeaf(device, NOW, random);
    const wrongKey = await forge(ca, device, { signingKey: generateTlsKey(random) });
    const withoutIssuerKey = await forge(ca, device, { extensions: profileWith(ca, device.id, 4) });
    for (const der of [stranger, sameName, selfSigned, wrongKey, withoutIssuerKey, ca.der]) {
      expect(outcome([der])).toMatch(/^certificate\.(untrusted|wrong-profile)$/);
    }
    expect(outcome([sameName])).toBe("certificate.untrusted");
    expect(outcome([selfSigned])).toBe("certificate.untrusted");
  });

  it("is refused in a chain, whatever the chain", async () => {
    const { der, key } = await intermediate(ca);
    const viaIntermediate = await forge(ca, device, { signingKey: key });
    expect(outcome([viaIntermediate])).toBe("certificate.untrusted");
    for (const chain of [[], [good, ca.der], [good, good], [viaIntermediate, der]]) {
      expect(outcome(chain)).toBe("certificate.wrong-profile");
    }
  });

  it("is no authority to check against, unless it is one of path length 0 for this gatehouse", async () => {
    const { der } = await intermediate(ca);
    const strangers = (await authority()).der;
    for (const notAuthority of [good, der, strangers, await selfSignedLeaf(device, NOW, random)]) {
      const options = { caCertificates: [notAuthority], gatehouseId: ca.gatehouse.id, now: NOW };
      expect(() => inspectLeaf([good], { ...options, usage: "device" })).toThrow(
        expect.objectContaining({ code: "certificate.wrong-profile" }),
      );
    }
  });
});

describe("bytes that are not quite a certificate", () => {
  it("are refused with a typed error when cut anywhere or continued", () => {
    for (let size = 0; size < good.length; size += 1) {
      expect(outcome([good.subarray(0, size)]), `${size} bytes`).toBe("certificate.malformed");
    }
    expect(outcome([concat(good, Uint8Array.of(0))])).toBe("certificate.malformed");
    expect(() => spkiOf(concat(good, Uint8Array.of(0)))).toThrow("malformed");
    expect(outcome([new Uint8Array(LIMITS.certificateBytes + 1)])).toBe("certificate.malformed");
  });

  it("are refused with a typed error whichever bit is flipped", () => {
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const changed = good.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(outcome([changed]), `bit ${bit}`).toMatch(/^certificate\.(malformed|untrusted)$/);
    }
  });
});
