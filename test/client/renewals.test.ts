import { describe, expect, it } from "vitest";
import { createCaCertificate, issueLeaf } from "../../src/certs/index.ts";
import type { Remote } from "../../src/client/index.ts";
import { renewalTime } from "../../src/client/renewal/renewal.ts";
import { Renewals } from "../../src/client/renewal/renewals.ts";
import { GatehouseError, type LogFields, silentLogger, systemRandom } from "../../src/core/index.ts";
import { generateTlsKey } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const random = systemRandom;

/** A gatehouse that renews, or does not, when it is asked. */
class Fixture {
  readonly clock = new ManualClock();
  /** When. */
  readonly asked: number[] = [];
  readonly warnings: LogFields[] = [];
  failure: GatehouseError | undefined;
  /** No answer comes until the asker gives up. */
  isHanging = false;
  isGivenUp = false;
  readonly #identity = DeviceIdentity.generate(random);
  readonly #caKey = generateTlsKey(random);
  /** Certificates are made at an engine's own pace. */
  #made: Promise<unknown> = Promise.resolve();

  async remote(): Promise<Remote> {
    const { id: gatehouseId, publicKey, tls } = this.#identity;
    const now = this.clock.now();
    const caKey = this.#caKey;
    const caCertificate = await createCaCertificate({ key: caKey, gatehouseId, generation: 1, now, random });
    const { der, expiresAt } = await issueLeaf({
      ...{ usage: "device", gatehouseId, deviceId: gatehouseId, spki: tls.spki, now, random },
      ...{ caCertificate, caKey },
    });
    return {
      ...{ name: "hall", gatehouseId, identityKey: publicKey, address: "192.0.2.1:7443" },
      ...{ caCertificates: [caCertificate], certificate: der, certificateExpiresAt: expiresAt },
      ...{ deviceName: "phone", role: "member", pairedAt: now },
    };
  }

  start(remote: Remote): Renewals {
    return new Renewals({
      ...{ remote, clock: this.clock, random: new SeededRandom(3) },
      logger: { ...silentLogger, warn: (_event, fields = {}) => void this.warnings.push(fields) },
      renew: (signal) => this.#renew(signal),
    });
  }

  /** In steps that let what was started come to its end. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 10 * MINUTE_MS) {
      this.clock.advance(Math.min(left, 10 * MINUTE_MS));
      await new Promise((resolve) => setImmediate(resolve));
      await this.#made;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #renew(signal: AbortSignal): Promise<Remote> {
    this.asked.push(this.clock.now());
    if (this.isHanging) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    this.isGivenUp = signal.aborted;
    if (this.failure !== undefined) throw this.failure;
    const made = this.remote();
    this.#made = made;
    return await made;
  }
}

/** At the moment at which its certificate is due. */
async function due(): Promise<{ readonly fixture: Fixture; readonly remote: Remote }> {
  const fixture = new Fixture();
  const remote = await fixture.remote();
  fixture.clock.advance(renewalTime(remote.certificate) - fixture.clock.now());
  return { fixture, remote };
}

describe("a client that stays", () => {
  it("renews when the certificate is due, not before, and not again", async () => {
    const fixture = new Fixture();
    const remote = await fixture.remote();
    const dueAt = renewalTime(remote.certificate);
    await using _renewals = fixture.start(remote);
    await fixture.pass(dueAt - fixture.clock.now() - MINUTE_MS);
    expect(fixture.asked).toEqual([]);
    await fixture.pass(2 * MINUTE_MS);
    expect(fixture.asked).toHaveLength(1);
    expect(fixture.asked[0]).toBeGreaterThanOrEqual(dueAt);
    await fixture.pass(24 * HOUR_MS);
    expect(fixture.asked).toHaveLength(1);
  });

  it("on a machine that sleeps past that moment renews within ten minutes of waking up", async () => {
    const fixture = new Fixture();
    const remote = await fixture.remote();
    await using _renewals = fixture.start(remote);
    fixture.clock.stepWall(29 * 24 * HOUR_MS);
    expect(fixture.asked).toEqual([]);
    await fixture.pass(10 * MINUTE_MS);
    expect(fixture.asked).toHaveLength(1);
  });

  it("tries again after a failure, from a minute on, with pauses that grow to six hours and no further", async () => {
    const { fixture, remote } = await due();
    fixture.failure = new GatehouseError("quic.unreachable", "nothing answers");
    await using _renewals = fixture.start(remote);
    for (let minute = 0; minute < 40 * 60; minute += 1) await fixture.pass(MINUTE_MS);
    const pauses = fixture.asked.slice(1).map((at, index) => at - (fixture.asked[index] ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(MINUTE_MS);
    expect(pauses[0]).toBeLessThanOrEqual(2 * MINUTE_MS);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(6 * HOUR_MS);
    expect(Math.max(...pauses)).toBeGreaterThan(4 * HOUR_MS);
    expect(fixture.asked.length).toBeLessThan(20);
    expect(fixture.warnings).toHaveLength(fixture.asked.length);
    expect(fixture.warnings[0]).toMatchObject({ error: "nothing answers" });
  });

  it("forgets its failures when one has worked", async () => {
    const { fixture, remote } = await due();
    fixture.failure = new GatehouseError("quic.unreachable", "nothing answers");
    await using _renewals = fixture.start(remote);
    await fixture.pass(3 * HOUR_MS);
    fixture.failure = undefined;
    await fixture.pass(6 * HOUR_MS);
    const count = fixture.asked.length;
    await fixture.pass(24 * HOUR_MS);
    expect(fixture.asked).toHaveLength(count);
  });

  it("waits two seconds at its end for a renewal under way, and no longer", async () => {
    const { fixture, remote } = await due();
    fixture.isHanging = true;
    const renewals = fixture.start(remote);
    const closed = renewals[Symbol.asyncDispose]();
    await fixture.pass(1_999);
    expect(fixture.isGivenUp).toBe(false);
    await fixture.pass(1);
    expect(fixture.isGivenUp).toBe(true);
    await closed;
    await fixture.pass(48 * HOUR_MS);
    expect(fixture.asked).toHaveLength(1);
  });
});
