import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createTlsRequest, parseTlsRequest, type Requester } from "../../src/certs/index.ts";
import { concat, LIMITS } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const random = new SeededRandom(21);
const identity = DeviceIdentity.generate(random);
const refused = { code: "certificate.bad-request" };

describe("a certificate request", () => {
  it("carries the identity, its TLS key, and nothing secret", async () => {
    const der = await createTlsRequest(identity);
    expect(await parseTlsRequest(der)).toEqual({
      deviceId: identity.id,
      identityKey: identity.publicKey,
      spki: identity.tls.spki,
    });
  });

  it("is a PKCS#10 request whose signature OpenSSL verifies", async () => {
    const input = await createTlsRequest(identity);
    const text = execFileSync("openssl", ["req", "-inform", "DER", "-verify", "-noout", "-text"], {
      input,
      stdio: ["pipe", "pipe", "pipe"],
    }).toString();
    expect(text).toContain("Version: 1 (0x0)");
    expect(text).toContain("ecdsa-with-SHA256");
    expect(text).toContain("2.25.140046661725420828429496552548943731287");
  });

  it("is refused with any bit flipped, cut anywhere, or continued", async () => {
    const der = await createTlsRequest(identity);
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const changed = der.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      await expect(parseTlsRequest(changed), `bit ${bit}`).rejects.toMatchObject(refused);
    }
    for (let size = 0; size < der.length; size += 1) {
      await expect(parseTlsRequest(der.subarray(0, size)), `${size} bytes`).rejects.toMatchObject(refused);
    }
    await expect(parseTlsRequest(concat(der, Uint8Array.of(0)))).rejects.toMatchObject(refused);
    await expect(parseTlsRequest(new Uint8Array(LIMITS.certificateRequestBytes + 1))).rejects.toMatchObject(
      refused,
    );
  });

  it("is refused when the TLS key is proven but another identity is named", async () => {
    const other = DeviceIdentity.generate(random);
    // The other's name and statement beside our key.
    const stolen = await createTlsRequest({
      publicKey: other.publicKey,
      tls: { ...signer(identity), publicBinding: other.tls.publicBinding },
    });
    await expect(parseTlsRequest(stolen)).rejects.toMatchObject({
      ...refused,
      message: "the certificate request is not signed by the identity it names",
    });
  });

  it("is refused when the key it is for did not sign it", async () => {
    const other = DeviceIdentity.generate(random);
    const tls = { ...signer(other), sign: signer(identity).sign };
    const unproven = await createTlsRequest({ publicKey: other.publicKey, tls });
    await expect(parseTlsRequest(unproven)).rejects.toMatchObject({
      ...refused,
      message: "the certificate request is not signed by the key it is for",
    });
  });

  it("is refused for a key that is not on P-256", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "secp384r1" });
    const spki = new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
    const der = await createTlsRequest({
      publicKey: identity.publicKey,
      tls: {
        ...{ spki, publicBinding: identity.tls.publicBinding },
        sign: (message) => new Uint8Array(sign("sha256", message, privateKey)),
      },
    });
    await expect(parseTlsRequest(der)).rejects.toMatchObject({ message: expect.stringContaining("P-256") });
  });

  it("is refused from stock tools: it proves no identity", async () => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
    const der = execFileSync("openssl", ["req", "-new", ...key, "-subj", "/CN=x", "-outform", "DER"], {
      stdio: "pipe",
    });
    await expect(parseTlsRequest(new Uint8Array(der))).rejects.toMatchObject({
      ...refused,
      message: "the certificate request is without exactly one identity binding",
    });
  });
});

function signer({ tls }: DeviceIdentity): Requester["tls"] {
  const { spki, publicBinding } = tls;
  return { spki, publicBinding, sign: (message) => tls.sign(message) };
}
