import { describe, expect, it } from "vitest";
import { certificatePem, certificatesIn, keyIn, selfSignedLeaf } from "../../src/certs/index.ts";
import { systemClock, systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";

describe("PEM that others hand over", async () => {
  const identity = DeviceIdentity.generate(systemRandom);
  const der = await selfSignedLeaf(identity, systemClock.now(), systemRandom);
  const pem = certificatePem(der);
  const key = identity.tls.privateKeyPem;

  it("is read as one certificate after the other, whatever ends its lines", () => {
    expect(certificatesIn(pem)).toEqual([der]);
    expect(certificatesIn(`\n${pem}\n${pem}${pem}`)).toEqual([der, der, der]);
    expect(certificatesIn(pem.replaceAll("\n", "\r\n"))).toEqual([der]);
    expect(keyIn(key).length).toBeGreaterThan(100);
  });

  it("is refused when it ends anywhere sooner, begins later, or has anything beside it", () => {
    for (let length = 0; length < pem.trimEnd().length; length += 1) {
      expect(() => certificatesIn(pem.slice(0, length))).toThrow(RangeError);
      expect(() => certificatesIn(pem.slice(length + 1))).toThrow(RangeError);
    }
    for (const text of [
      `x${pem}`,
      `${pem}x`,
      `${pem}x\n${pem}`,
      `${pem}${key}`,
      key,
      pem.replace("\n", "\n*"),
    ])
      expect(() => certificatesIn(text)).toThrow(RangeError);
  });

  it("is refused as a key when it is two, or none", () => {
    for (const text of [`${key}${key}`, pem, "", key.replaceAll("PRIVATE KEY", "EC PRIVATE KEY")])
      expect(() => keyIn(text)).toThrow(RangeError);
  });
});
