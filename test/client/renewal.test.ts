import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { certificateFacts } from "../../src/certs/index.ts";
import { connect, Device, METHODS, type Remote, Remotes } from "../../src/client/index.ts";
import { renewalTime } from "../../src/client/renewal/renewal.ts";
import { type Clock, GatehouseError, systemClock, systemRandom, unixMs } from "../../src/core/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { times } from "../support/effort.ts";
import { type Answer, DAY_MS, type Question, RenewingGatehouse } from "./renewing-gatehouse.ts";

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "gatehouse-renewal-"));
});

afterEach(() => rm(home, { recursive: true, force: true }));

/** As a command does it. */
async function command(clock: Clock = systemClock): Promise<void> {
  await using client = await connect({ home, clock });
  await client.call(METHODS.Health.Ping, {});
}

async function renew(options: { readonly newKey?: boolean } = {}, on = "hall"): Promise<void> {
  await using client = await connect({ home, on });
  await client.renew(options);
}

const stored = (): Promise<Remote> => Remotes.of(home).resolve("hall");
const identityNow = (): Promise<DeviceIdentity> => DeviceIdentity.open(homeLayout(home).identityDir);
const serialOf = ({ certificate }: Remote): string => certificateFacts(certificate).serial;

/** The system's clock, put off by so much. */
function offBy(ms: number): Clock {
  return {
    now: () => unixMs(systemClock.now() + ms),
    monotonicMs: () => systemClock.monotonicMs(),
    setTimer: (delayMs, run) => systemClock.setTimer(delayMs, run),
  };
}

describe("a certificate", () => {
  it("is due between 40 and 60 hundredths of its life, at the same moment each time it is asked", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    const identity = DeviceIdentity.generate(systemRandom);
    const shares = [];
    for (let count = 0; count < 40; count += 1) {
      const { der } = await gatehouse.issue(identity.id, identity.tls.spki);
      const { notBefore, expiresAt } = certificateFacts(der);
      expect(renewalTime(der)).toBe(renewalTime(der));
      shares.push((renewalTime(der) - notBefore) / (expiresAt - notBefore));
    }
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.4);
    expect(Math.max(...shares)).toBeLessThanOrEqual(0.6);
    expect(Math.max(...shares) - Math.min(...shares)).toBeGreaterThan(0.05);
  });

  it("is renewed beside a call when it is past the half of its life, and the next connection shows the new one", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    const before = await stored();
    await command();
    const after = await stored();
    expect(gatehouse.issued).toBe(1);
    expect(serialOf(after)).not.toBe(serialOf(before));
    expect(after.certificateExpiresAt).toBe(certificateFacts(after.certificate).expiresAt);
    expect(after.renewal).toBeUndefined();
    await command();
    expect(gatehouse.shown.at(-1)).toBe(serialOf(after));
    expect(gatehouse.issued).toBe(1);
  });

  it("is left alone before that", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 11);
    await command();
    expect(gatehouse.asked).toEqual([]);
  });

  it("is renewed at once when that is asked for, for the same key", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    const identity = await gatehouse.pair(home, 0);
    await renew();
    expect(gatehouse.issued).toBe(1);
    expect(certificateFacts((await stored()).certificate).spkiSha256).toEqual(identity.tls.spkiSha256);
  });
});

describe("a renewal whose link is cut", () => {
  it.each(["before", "after"] as const)(
    "%s the gatehouse has carried it out is asked for again under its id, and certifies once",
    async (where) => {
      await using gatehouse = await RenewingGatehouse.open();
      await gatehouse.pair(home, 19);
      gatehouse.cuts = { where, times: 2 };
      const before = await stored();
      await command();
      await command();
      expect(serialOf(await stored())).toBe(serialOf(before));
      await command();
      const after = await stored();
      expect(serialOf(after)).not.toBe(serialOf(before));
      expect(after.renewal).toBeUndefined();
      expect(gatehouse.asked).toHaveLength(3);
      expect(new Set(gatehouse.asked).size).toBe(1);
      expect(gatehouse.issued).toBe(1);
    },
  );

  it("on the device's side, before it has stored the answer, gets the same answer", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    gatehouse.cuts = { where: "before", times: 1 };
    await command();
    const wishing = await stored();
    await command();
    const first = await stored();
    // As a process leaves it that is killed when the answer has come.
    await Remotes.of(home).change(wishing.gatehouseId, () => wishing);
    await command();
    expect(await stored()).toEqual(first);
    expect(gatehouse.issued).toBe(1);
  });

  it("is another one when the gatehouse cannot remember it any more", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    gatehouse.cuts = { where: "after", times: 1 };
    await command();
    await Remotes.of(home).change(gatehouse.id, ({ renewal, ...remote }) => ({
      ...remote,
      renewal: renewal && { ...renewal, askedAt: unixMs(renewal.askedAt - 23 * 3_600_000) },
    }));
    await command();
    expect(new Set(gatehouse.asked).size).toBe(2);
    expect((await stored()).renewal).toBeUndefined();
  });
});

describe("an answer", () => {
  const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
    bytes.map((byte, index) => (index === at % bytes.length ? byte ^ (1 << (at % 8)) : byte));

  const signed = (gatehouse: RenewingGatehouse, question: Question, answer: Answer): Answer => ({
    ...answer,
    signature: gatehouse.sign(question, answer),
  });

  it.each([
    ["on time", 19],
    ["late", 45],
  ] as const)("in which a bit of anything signed is another one is not believed, %s", async (_, ageDays) => {
    await using gatehouse = await RenewingGatehouse.open();
    gatehouse.isReadmitting = true;
    await gatehouse.pair(home, ageDays);
    const { certificate, caCertificates } = await stored();
    const changes: readonly ((answer: Answer, question: Question, at: number) => Answer)[] = [
      (answer, _question, at) => ({ ...answer, certificate: flipped(answer.certificate, at) }),
      (answer, _question, at) => ({ ...answer, signature: flipped(answer.signature, at) }),
      (answer, _question, at) => ({
        ...answer,
        caCertificates: answer.caCertificates.map((der) => flipped(der, at)),
      }),
      (answer, question, at) =>
        signed(gatehouse, { ...question, nonce: flipped(question.nonce, at) }, answer),
      (answer, question, at) =>
        signed(gatehouse, { ...question, serverSpkiSha256: flipped(question.serverSpkiSha256, at) }, answer),
    ];
    const mutation = fc.record({ change: fc.constantFrom(...changes), at: fc.nat(4_000) });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ change, at }) => {
        gatehouse.tamper = (answer, question) => change(answer, question, at);
        await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server", exitCode: 5 });
        expect(await stored()).toMatchObject({ certificate, caCertificates });
      }),
      { numRuns: times({ short: 8, long: 60 }) },
    );
  });

  it("with authorities added, exchanged, too many or left out is not believed", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using other = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    const { certificate, caCertificates } = await stored();
    const own = gatehouse.caCertificate;
    for (const list of [[], [own, other.caCertificate], [other.caCertificate], [own, own]]) {
      gatehouse.tamper = (answer) => ({ ...answer, caCertificates: list });
      await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server" });
    }
    for (const list of [[], [other.caCertificate], [own, own, own, own, own]]) {
      gatehouse.tamper = (answer, question) =>
        signed(gatehouse, question, { ...answer, caCertificates: list });
      await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server" });
    }
    expect(await stored()).toMatchObject({ certificate, caCertificates });
  });

  it("that another identity signed is not believed, though the authority is the right one", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using other = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    gatehouse.tamper = (answer, question) => signed(other, question, answer);
    await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server" });
  });

  it("that certifies another device or another key, by another gatehouse or for a time that is over, is not believed", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using other = await RenewingGatehouse.open();
    const own = await gatehouse.pair(home, 0);
    const stranger = DeviceIdentity.generate(systemRandom);
    const { certificate, caCertificates } = await stored();
    const certificates = [
      await gatehouse.issue(stranger.id, own.tls.spki),
      await gatehouse.issue(own.id, stranger.tls.spki),
      await other.issue(own.id, own.tls.spki),
      await gatehouse.issue(own.id, own.tls.spki, unixMs(systemClock.now() - 31 * DAY_MS)),
    ];
    for (const { der } of certificates) {
      gatehouse.tamper = (answer, question) => signed(gatehouse, question, { ...answer, certificate: der });
      await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server" });
    }
    expect(await stored()).toMatchObject({ certificate, caCertificates });
  });

  it("to an earlier question, given again, is not believed; the next one is asked under another id", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    const first: Answer[] = [];
    gatehouse.tamper = (answer) => {
      first.push(answer);
      return first[0] ?? answer;
    };
    await renew();
    const once = await stored();
    await expect(renew()).rejects.toMatchObject({ code: "quic.wrong-server" });
    expect(serialOf(await stored())).toBe(serialOf(once));
    gatehouse.tamper = (answer) => answer;
    await renew();
    expect(new Set(gatehouse.asked).size).toBe(3);
  });

  it("that was given for a key which the server has replaced since does not stand in the way", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    gatehouse.cuts = { where: "after", times: 1 };
    await command();
    const { renewal } = await stored();
    const old = new Uint8Array(32);
    gatehouse.tamper = (answer, question) =>
      Buffer.from(question.nonce).equals(renewal?.nonce ?? old)
        ? signed(gatehouse, { ...question, serverSpkiSha256: old }, answer)
        : answer;
    await command();
    expect(new Set(gatehouse.asked).size).toBe(2);
    expect((await stored()).renewal).toBeUndefined();
  });
});

describe("a device whose certificate has run out", () => {
  it("is told what to ask the gatehouse's owner for, when it is not expected", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 45);
    await expect(command()).rejects.toMatchObject({
      code: "certificate.expired",
      exitCode: 5,
      hint: expect.stringContaining("gatehouse device readmit phone"),
    });
    expect(gatehouse.asked).toEqual([]);
  });

  it("renews it when it is expected, and goes on as if nothing had been", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 45);
    gatehouse.isReadmitting = true;
    await command();
    expect(gatehouse.contexts).toContain("renewal");
    gatehouse.isReadmitting = false;
    await command();
    expect(gatehouse.issued).toBe(1);
  });

  it("believes nobody who is not the gatehouse, and tells him nothing but its wish", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using man = await RenewingGatehouse.open();
    await gatehouse.pair(home, 45);
    const { certificate, caCertificates } = await stored();
    await Remotes.of(home).set("hall", { address: man.address });
    man.isReadmitting = true;
    man.isOpenToAll = true;
    await expect(command()).rejects.toMatchObject({ code: "quic.wrong-server", exitCode: 5 });
    expect(man.asked).toHaveLength(1);
    expect(man.pings).toBe(0);
    expect(await stored()).toMatchObject({ certificate, caCertificates });
  });

  it("does not believe the gatehouse's own answer when another server shows it", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using man = await RenewingGatehouse.open(gatehouse);
    await gatehouse.pair(home, 45);
    const before = await stored();
    gatehouse.isReadmitting = true;
    man.isReadmitting = true;
    const answers: Answer[] = [];
    gatehouse.tamper = (answer) => {
      answers.push(answer);
      throw new GatehouseError("device.revoked", "the answer is kept");
    };
    // Nobody has verified who said that.
    await expect(command()).rejects.toMatchObject({ code: "certificate.expired" });
    const { renewal } = await stored();
    man.tamper = (answer, { nonce }) =>
      Buffer.from(nonce).equals(renewal?.nonce ?? nonce) ? (answers[0] ?? answer) : { ...answer, now: 0 };
    await Remotes.of(home).set("hall", { address: man.address });
    await expect(command()).rejects.toMatchObject({ code: "quic.wrong-server" });
    expect(answers).toHaveLength(1);
    expect((await stored()).certificate).toEqual(before.certificate);
  });

  it("and whose clock says otherwise hears it from the gatehouse, and its call waits for the renewal", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 31);
    gatehouse.isReadmitting = true;
    await command(offBy(-2 * DAY_MS));
    expect(gatehouse.issued).toBe(1);
    expect(gatehouse.pings).toBe(1);
    expect((await stored()).lastSkewMs ?? 0).toBeGreaterThan(1.9 * DAY_MS);
  });

  it("and whose clock is behind is told both", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 31);
    await Remotes.of(home).change(gatehouse.id, (remote) => ({ ...remote, lastSkewMs: 2 * DAY_MS }));
    await expect(command(offBy(-2 * DAY_MS))).rejects.toMatchObject({
      code: "certificate.expired",
      hint: expect.stringMatching(/device readmit phone.*clock is 2 days behind hall's/),
    });
  });
});

describe("a device whose certificate is good", () => {
  it("does not talk to a server that it cannot verify, whatever that server would take", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using man = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    await Remotes.of(home).set("hall", { address: man.address });
    man.isReadmitting = true;
    man.isOpenToAll = true;
    await expect(command()).rejects.toMatchObject({ code: "quic.wrong-server" });
    expect(man.contexts).toEqual([]);
    expect(man.asked).toEqual([]);
  });
});

describe("a new key", () => {
  it("takes the place of the old one, which goes when the new one was used", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    const identity = await gatehouse.pair(home, 0);
    await renew({ newKey: true });
    const { spkiSha256, serial } = certificateFacts((await stored()).certificate);
    expect(spkiSha256).not.toEqual(identity.tls.spkiSha256);
    expect(gatehouse.shown.at(-1)).toBe(serial);
    const now = await identityNow();
    expect(now.id).toBe(identity.id);
    expect(now.tlsKeys.map((key) => key.spkiSha256)).toEqual([spkiSha256]);
    await command();
  });

  it("whose answer was lost is the same one when it is asked for again, or when the certificate is just renewed", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    gatehouse.cuts = { where: "after", times: 2 };
    await expect(renew({ newKey: true })).rejects.toMatchObject({ code: "quic.closed" });
    const { renewal } = await stored();
    await expect(renew({ newKey: true })).rejects.toMatchObject({ code: "quic.closed" });
    await renew();
    expect(certificateFacts((await stored()).certificate).spkiSha256).toEqual(renewal?.spkiSha256);
    expect(gatehouse.issued).toBe(1);
    expect((await identityNow()).tlsKeys).toHaveLength(1);
  });

  it("that another process made is found by one that runs already", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    const device = await Device.open(home);
    {
      await using client = await device.connect();
      await client.call(METHODS.Health.Ping, {});
    }
    await renew({ newKey: true });
    await using client = await device.connect({ resumption: "none" });
    await client.call(METHODS.Health.Ping, {});
    expect(gatehouse.shown.at(-1)).toBe(serialOf(await stored()));
  });

  it("leaves the old one where another gatehouse knows this device by it, until that one is left", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await using other = await RenewingGatehouse.open();
    const { tls } = await other.pair(home, 0);
    await Remotes.of(home).set("hall", { name: "shed" });
    await gatehouse.pair(home, 0);
    await renew({ newKey: true });
    expect((await identityNow()).tlsKeys).toHaveLength(2);
    expect((await identityNow()).tlsFor(tls.spkiSha256)).toBeDefined();
    await Remotes.of(home).remove("shed");
    const left = (await identityNow()).tlsKeys.map(({ spkiSha256 }) => spkiSha256);
    expect(left).toEqual([certificateFacts((await stored()).certificate).spkiSha256]);
  });
});

describe("several renewals at once", () => {
  it("ask for one certificate, and store one", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 19);
    await Promise.all(Array.from({ length: 6 }, () => command()));
    expect(new Set(gatehouse.asked).size).toBe(1);
    expect(gatehouse.issued).toBe(1);
    await command();
    expect(gatehouse.shown.at(-1)).toBe(serialOf(await stored()));
  });
});

describe("clocks that differ", () => {
  it("are noticed by a status, and the last difference is kept when it matters", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    {
      await using client = await connect({ home });
      expect(client.clockSkewMs).toBeUndefined();
      await client.call(METHODS.Health.Status, {});
      expect(Math.abs(client.clockSkewMs ?? 1e9)).toBeLessThan(2_000);
    }
    expect((await stored()).lastSkewMs).toBeUndefined();
    gatehouse.clockAheadMs = 7_200_000;
    {
      await using client = await connect({ home });
      await client.call(METHODS.Health.Status, {});
      expect(Math.abs((client.clockSkewMs ?? 0) - 7_200_000)).toBeLessThan(2_000);
    }
    expect(Math.abs(((await stored()).lastSkewMs ?? 0) - 7_200_000)).toBeLessThan(2_000);
  });

  it("are told when a fresh certificate has run out by this machine's; setting it right is all it takes", async () => {
    await using gatehouse = await RenewingGatehouse.open();
    await gatehouse.pair(home, 0);
    const before = await stored();
    const ahead = {
      code: "certificate.expired",
      hint: "this machine's clock is 60 days ahead of hall's: set it right",
    };
    await expect(command(offBy(60 * DAY_MS))).rejects.toMatchObject(ahead);
    await expect(command(offBy(60 * DAY_MS))).rejects.toMatchObject(ahead);
    expect(gatehouse.issued).toBe(1);
    expect(serialOf(await stored())).toBe(serialOf(before));
    await command();
  });
});
