import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  certificateFacts,
  certificatePem,
  createRevocationList,
  gatehouseHost,
} from "../../src/certs/index.ts";
import { unixMs } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import {
  authority,
  DAY_MS,
  forge,
  impostor,
  leaf,
  NOW,
  parts,
  profileWith,
  random,
  type TestAuthority,
} from "./forge.ts";

/** The real `openssl verify`, as any other TLS library would judge. */

let dir: string;
let ca: TestAuthority;
let device: DeviceIdentity;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-openssl-"));
  ca = await authority();
  device = DeviceIdentity.generate(random);
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

async function verify(der: Uint8Array, root: Uint8Array, ...options: readonly string[]): Promise<string> {
  const [rootFile, leafFile] = [join(dir, "root.pem"), join(dir, "leaf.pem")];
  await writeFile(rootFile, certificatePem(root));
  await writeFile(leafFile, certificatePem(der));
  const time = String(Math.floor(NOW / 1_000));
  try {
    const fixed = ["verify", "-x509_strict", "-attime", time, "-CAfile", rootFile];
    return execFileSync("openssl", [...fixed, ...options, leafFile], { stdio: "pipe" }).toString();
  } catch (failure) {
    return failure instanceof Error && "stderr" in failure ? String(failure.stderr) : String(failure);
  }
}

describe("openssl verify -x509_strict", () => {
  it("accepts a device's leaf as a client and a gatehouse's as a server of its name", async () => {
    const client = await leaf(ca, device, "device");
    expect(await verify(client, ca.der, "-purpose", "sslclient")).toMatch(/: OK\n$/);
    const server = await leaf(ca, ca.gatehouse, "server");
    const host = gatehouseHost(ca.gatehouse.id);
    expect(await verify(server, ca.der, "-purpose", "sslserver", "-verify_hostname", host)).toMatch(
      /: OK\n$/,
    );
  });

  it("accepts the authority itself", async () => {
    expect(await verify(ca.der, ca.der)).toMatch(/: OK\n$/);
  });

  it("refuses the wrong usage", async () => {
    const client = await leaf(ca, device, "device");
    expect(await verify(client, ca.der, "-purpose", "sslserver")).toMatch(/purpose/);
    const server = await leaf(ca, ca.gatehouse, "server");
    expect(await verify(server, ca.der, "-purpose", "sslclient")).toMatch(/purpose/);
  });

  it("refuses the wrong authority, one of the same name included", async () => {
    const client = await leaf(ca, device, "device");
    expect(await verify(client, (await authority()).der)).toMatch(/unable to get local issuer/);
    expect(await verify(client, (await impostor(ca)).der)).toMatch(/error 20|issuer|signature/);
  });

  it("refuses the wrong name: asked for, or outside of the authority's constraints", async () => {
    const server = await leaf(ca, ca.gatehouse, "server");
    const other = gatehouseHost(device.id);
    expect(await verify(server, ca.der, "-verify_hostname", other)).toMatch(/hostname mismatch/);
    const names = [
      { type: "dns", value: other },
      { type: "dns", value: "gatehouse.internal" },
      { type: "url", value: `spiffe://${other}/device/${device.id}` },
    ] as const;
    for (const name of names) {
      const extensions = profileWith(ca, device.id, 3, parts.names([name]));
      const stray = await forge(ca, device, { extensions });
      expect(await verify(stray, ca.der)).toMatch(/permitted subtree violation/);
    }
  });

  it("refuses a leaf that has run out, or is not good yet", async () => {
    const old = await forge(ca, device, { notBefore: NOW - 2 * DAY_MS, notAfter: NOW - DAY_MS });
    expect(await verify(old, ca.der)).toMatch(/certificate has expired/);
    const early = await forge(ca, device, { notBefore: NOW + DAY_MS, notAfter: NOW + 2 * DAY_MS });
    expect(await verify(early, ca.der)).toMatch(/not yet valid/);
  });

  it("refuses a signature with one bit changed", async () => {
    const changed = Uint8Array.from(await leaf(ca, device, "device"));
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(await verify(changed, ca.der)).toMatch(/signature failure/);
  });
});

describe("a revocation list", () => {
  const revokedAt = NOW - DAY_MS;
  const listOf = (authority: TestAuthority, serials: readonly string[]) =>
    createRevocationList({
      ...{ caCertificate: authority.der, caKey: authority.key, number: 7, now: unixMs(NOW) },
      revoked: serials.map((serial) => ({ serial, revokedAt })),
    });

  async function verifyWith(list: Uint8Array, der: Uint8Array): Promise<string> {
    const file = join(dir, "list.pem");
    await writeFile(file, `-----BEGIN X509 CRL-----\n${base64Lines(list)}-----END X509 CRL-----\n`);
    return await verify(der, ca.der, "-crl_check", "-CRLfile", file);
  }

  it("refuses the leaf that stands on it, and no other", async () => {
    const [lost, kept] = [await leaf(ca, device, "device"), await leaf(ca, device, "device")];
    const list = await listOf(ca, [certificateFacts(lost).serial]);
    expect(await verifyWith(list, lost)).toMatch(/certificate revoked/);
    expect(await verifyWith(list, kept)).toMatch(/: OK\n$/);
  });

  it("is good without entries, and only when its own authority signed it", async () => {
    const kept = await leaf(ca, device, "device");
    expect(await verifyWith(await listOf(ca, []), kept)).toMatch(/: OK\n$/);
    expect(await verifyWith(await listOf(await impostor(ca), []), kept)).toMatch(/CRL|error/);
    const changed = Uint8Array.from(await listOf(ca, []));
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(await verifyWith(changed, kept)).toMatch(/CRL signature failure/);
  });

  it("says its number, its issuer's key and when the next one is wanted", async () => {
    const file = join(dir, "list.der");
    await writeFile(file, await listOf(ca, ["0a"]));
    const text = execFileSync("openssl", [
      "crl",
      "-inform",
      "DER",
      "-in",
      file,
      "-noout",
      "-text",
    ]).toString();
    expect(text).toMatch(/CRL Number: *\n *(?:7|0x07)\b/);
    expect(text).toMatch(/Authority Key Identifier/);
    expect(text).toMatch(/Next Update/);
    expect(text).toMatch(/Serial Number: 0A/);
  });
});

function base64Lines(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString("base64")
    .replace(/.{1,64}/g, "$&\n");
}
