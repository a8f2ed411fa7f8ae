import { spawn } from "node:child_process";
import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concat, equalBytes, systemRandom, utf8 } from "../../src/core/index.ts";
import { LABELS, verifyLabelled } from "../../src/crypto/index.ts";
import {
  DeviceIdentity,
  deviceIdOf,
  fingerprintOf,
  verifyAgreementBinding,
  verifyTlsBinding,
} from "../../src/identity/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-identity-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});
function fresh(): string {
  count += 1;
  return join(root, `identity-${count}`);
}
const create = (dir: string, random = systemRandom): Promise<DeviceIdentity> =>
  DeviceIdentity.openOrCreate(dir, { random });

describe("an identity", () => {
  it("is made once and is the same whenever it is opened", async () => {
    const dir = fresh();
    const made = await create(dir);
    for (const again of [await create(dir), await DeviceIdentity.open(dir)]) {
      expect(again.id).toBe(made.id);
      expect(again.tls.privateKeyPem).toBe(made.tls.privateKeyPem);
      expect(again.agreement.publicKey).toEqual(made.agreement.publicKey);
    }
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, "identity.key"))).mode & 0o777).toBe(0o600);
  });

  it("differs from every other", async () => {
    expect((await create(fresh())).id).not.toBe((await create(fresh())).id);
  });

  it("is named by its public key", () => {
    const identity = DeviceIdentity.generate(new SeededRandom(1));
    expect(identity.id).toBe(deviceIdOf(identity.publicKey));
    expect(identity.fingerprint).toBe(fingerprintOf(identity.publicKey));
  });

  it("vouches for its other two keys, and for those only", () => {
    const [mine, theirs] = [DeviceIdentity.generate(systemRandom), DeviceIdentity.generate(systemRandom)];
    const tls = { identityKey: mine.publicKey, spki: mine.tls.spki, signature: mine.tls.publicBinding };
    expect(verifyTlsBinding(tls)).toBe(true);
    expect(verifyTlsBinding({ ...tls, spki: theirs.tls.spki })).toBe(false);
    expect(verifyTlsBinding({ ...tls, identityKey: theirs.publicKey })).toBe(false);
    expect(verifyTlsBinding({ ...tls, signature: mine.agreement.binding })).toBe(false);
    const agreement = {
      identityKey: mine.publicKey,
      agreementKey: mine.agreement.publicKey,
      signature: mine.agreement.binding,
    };
    expect(verifyAgreementBinding(agreement)).toBe(true);
    expect(verifyAgreementBinding({ ...agreement, agreementKey: theirs.agreement.publicKey })).toBe(false);
  });

  it("signs, agrees and proves its TLS key", () => {
    const [mine, theirs] = [DeviceIdentity.generate(systemRandom), DeviceIdentity.generate(systemRandom)];
    const message = utf8("message");
    const signature = mine.sign(LABELS.auditCheckpoint, message);
    expect(verifyLabelled(mine.publicKey, LABELS.auditCheckpoint, message, signature)).toBe(true);
    expect(mine.agreement.agree(theirs.agreement.publicKey)).toEqual(
      theirs.agreement.agree(mine.agreement.publicKey),
    );
    expect(mine.agreement.agree(new Uint8Array(32))).toBeUndefined();
    const publicKey = createPublicKey(createPrivateKey(mine.tls.privateKeyPem));
    expect(new Uint8Array(publicKey.export({ format: "der", type: "spki" }))).toEqual(mine.tls.spki);
    expect(verify("sha256", message, publicKey, mine.tls.sign(message))).toBe(true);
  });

  it("shows its id and no key when printed", () => {
    const identity = DeviceIdentity.generate(systemRandom);
    expect(String(identity)).toBe(identity.id);
    expect(JSON.stringify({ identity })).toBe(`{"identity":"${identity.id}"}`);
    expect(inspect({ identity })).not.toContain("PRIVATE");
    expect(inspect({ tls: identity.tls }, { depth: 9 })).not.toContain("PRIVATE");
  });
});

describe("an identity on disk", () => {
  it("is reported missing, with what to do, where there is none", async () => {
    await expect(DeviceIdentity.open(fresh())).rejects.toMatchObject({ code: "home.not-initialized" });
  });

  it("is refused when others may read it", async () => {
    const dir = fresh();
    await create(dir);
    await chmod(join(dir, "identity.key"), 0o644);
    await expect(DeviceIdentity.open(dir)).rejects.toMatchObject({ code: "home.bad-permissions" });
    await chmod(join(dir, "identity.key"), 0o600);
    await chmod(dir, 0o755);
    await expect(create(dir)).rejects.toMatchObject({ code: "home.bad-permissions" });
  });

  it("is refused with any byte changed, cut anywhere, or with bytes added, and never replaced", async () => {
    const dir = fresh();
    await create(dir);
    const path = join(dir, "identity.key");
    const good = new Uint8Array(await readFile(path));
    const bad = [
      ...Array.from(good, (_, at) => changedAt(good, at)),
      ...Array.from(good, (_, size) => good.subarray(0, size)),
      concat(good, Uint8Array.of(0)),
      new Uint8Array(100_000),
    ];
    for (const bytes of bad) {
      await writeFile(path, bytes);
      await expect(create(dir)).rejects.toMatchObject({
        code: "identity.damaged",
        message: expect.stringContaining("identity.key"),
      });
    }
    expect(equalBytes(new Uint8Array(await readFile(path)), new Uint8Array(100_000))).toBe(true);
    await writeFile(path, good);
    expect((await DeviceIdentity.open(dir)).id).toHaveLength(56);
  });

  it("is refused when it holds the keys of two devices", async () => {
    const [one, other] = [fresh(), fresh()];
    await create(one);
    await create(other);
    const [a, b] = await Promise.all([one, other].map((dir) => readFile(join(dir, "identity.key"))));
    // The first key of one, everything after it of the other.
    const firstEnds = 4 + 4 + 48;
    const mixed = concat(a?.subarray(0, firstEnds) ?? a ?? utf8(""), b?.subarray(firstEnds) ?? utf8(""));
    await writeFile(join(one, "identity.key"), mixed);
    await expect(DeviceIdentity.open(one)).rejects.toMatchObject({ code: "identity.damaged" });
  });
});

describe("several processes creating an identity at once", () => {
  it("all end with the same one", async () => {
    const dir = fresh();
    const program = fileURLToPath(new URL("programs/creator.ts", import.meta.url));
    const children = [1, 2, 3].map(() => {
      const child = spawn(process.execPath, ["--import", "tsx", program, dir], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
    });
    for (const { lines } of children) expect((await lines.next()).value).toBe("ready");
    for (const { child } of children) child.stdin.write("go");
    const ids = await Promise.all(
      children.map(async ({ lines }): Promise<unknown> => (await lines.next()).value),
    );
    expect(new Set(ids)).toEqual(new Set([(await DeviceIdentity.open(dir)).id]));
  });
});

function changedAt(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice();
  changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
  return changed;
}
