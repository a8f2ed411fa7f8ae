import { spawnSync } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { pairDevice } from "../support/paired-device.ts";

/** The authority's commands by the real program; what they print is read by OpenSSL. */
describe("ca", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--open-pairing", "--name", "hall"]));
    resources.use(await pairDevice(daemon, "lamp"));
    await owner.json(["device", "revoke", "lamp"]);
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  const openssl = (...words: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync("openssl", words, { encoding: "utf8" });
    return { status, text: `${stdout}${stderr}` };
  };
  const generations = async () => {
    const { generations: list } = await owner.json(["ca", "show"]);
    return list as readonly { readonly number: number; readonly state: string }[];
  };

  it("show tells its one generation, the gatehouse's own certificate and the epoch", async () => {
    const shown = await owner.json(["ca", "show"]);
    expect(shown).toMatchObject({
      generations: [
        { number: 1, state: "serving", changesAt: expect.any(Number), certificate: expect.any(String) },
      ],
      serverCertificate: { serial: expect.stringMatching(/^[0-9a-f]+$/), expiresAt: expect.any(Number) },
      revocationEpoch: 1,
    });
    expect((await owner.run(["ca", "show"])).stdout.toString()).toMatch(
      /^1 +serving +certifies devices and/m,
    );
  });

  it("crl is PEM that OpenSSL verifies by what show --pem prints, and names the revoked", async () => {
    const [caFile, crlFile] = [join(owner.root, "ca.pem"), join(owner.root, "crl.pem")];
    await writeFile(caFile, (await owner.run(["ca", "show", "--pem"])).stdout);
    await writeFile(crlFile, (await owner.run(["ca", "crl"])).stdout);
    const { status, text: said } = openssl("crl", "-in", crlFile, "-CAfile", caFile, "-noout", "-text");
    expect(said).toContain("verify OK");
    expect(said).toMatch(/Revoked Certificates:.*Serial Number: [0-9A-F]/s);
    expect(status).toBe(0);
  });

  it("crl --out replaces a file that others may read, --der is the same list, --json has it in base64", async () => {
    const out = join(owner.root, "list.crl");
    await writeFile(out, "old");
    expect((await owner.run(["ca", "crl", "--der", "--out", out])).stdout.toString()).toBe(`wrote ${out}\n`);
    expect((await stat(out)).mode & 0o777).toBe(0o644);
    const der = await readFile(out);
    expect(openssl("crl", "-inform", "DER", "-in", out, "-noout", "-crlnumber").status).toBe(0);
    const { lists } = await owner.json(["ca", "crl"]);
    const [list] = Array.isArray(lists) ? lists : [];
    if (!isObject(list)) throw new Error("there is no list");
    expect(list["generation"]).toBe(1);
    const issuerOf = (bytes: Buffer) => bytes.subarray(0, 60).toString("hex").slice(-40);
    expect(issuerOf(Buffer.from(text(list["crl"]), "base64"))).toBe(issuerOf(der));
  });

  it("renew gives the gatehouse another certificate, which counts at once", async () => {
    const serial = async (...words: readonly string[]) => {
      const { serverCertificate } = await owner.json(["ca", ...words]);
      return isObject(serverCertificate) ? text(serverCertificate["serial"]) : "";
    };
    const first = await serial("show");
    const second = await serial("renew");
    const third = await serial("renew", "--new-key");
    expect(new Set([first, second, third]).size).toBe(3);
    expect(await serial("show")).toBe(third);
    expect(await owner.json(["status"])).toMatchObject({ state: "serving" });
  });

  it("rotate makes a second generation once, and the lists are two then", async () => {
    expect(await owner.json(["ca", "rotate"])).toMatchObject({ generations: [{ number: 2 }, { number: 1 }] });
    expect((await generations()).map(({ state }) => state)).toEqual(["introduced", "serving"]);
    expect(await owner.outcome(["ca", "rotate"])).toEqual({ exit: 7, code: "ca.rotating" });
    const all = (await owner.run(["ca", "crl"])).stdout.toString();
    expect(all.match(/BEGIN X509 CRL/g)).toHaveLength(2);
    expect(await owner.outcome(["ca", "crl", "--der"])).toEqual({ exit: 2, code: "usage.bad-argument" });
    expect(await owner.outcome(["ca", "crl", "--generation", "9"])).toEqual({
      exit: 2,
      code: "usage.bad-argument",
    });
    const newest = join(owner.root, "newest.crl");
    await owner.json(["ca", "crl", "--der", "--generation", "2", "--out", newest]);
    expect(openssl("crl", "-inform", "DER", "-in", newest, "-noout").status).toBe(0);
    expect(await owner.outcome(["ca", "crl", "--der", "--pem"])).toMatchObject({ exit: 2 });
  });
});
