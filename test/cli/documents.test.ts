import { describe, expect, it } from "vitest";
import { asAuthority, describeAuthority } from "../../src/cli/authority-document.ts";
import { asDevice, describeDevice, deviceTable } from "../../src/cli/device-document.ts";
import { noticesOf } from "../../src/cli/notices.ts";
import { pem } from "../../src/cli/pem.ts";
import { rightsTable } from "../../src/cli/rights-table.ts";
import { createStyle } from "../../src/cli/style.ts";

const plain = createStyle(false);
const NOW = Date.UTC(2026, 10, 24, 12);
const DAY = 86_400_000;
const shown = { nowMs: NOW, style: plain };

const laptop = asDevice({
  ...{
    id: "a".repeat(56),
    name: "lap\u001btop",
    roles: ["ci", "member"],
    state: "held",
    heldAt: NOW - 3_600_000,
  },
  ...{ kind: "cli", platform: "linux-x64", fingerprint: "0f".repeat(32), pairedAt: NOW - 40 * DAY },
  ...{ lastSeenAt: NOW - 120_000, lastWire: "quic", lastAddress: "192.0.2.9" },
  ...{ certificateExpiresAt: NOW - DAY, certificateSerial: "00ff", certificateGeneration: 2 },
  ...{ readmittedUntil: NOW + DAY },
});

describe("a device", () => {
  it("is one line in the list, with the end of its certificate and the short form of its id", () => {
    const line = deviceTable([laptop], shown).split("\n")[1];
    expect(line).toBe("lap\\u{1b}top  ci, member  held   2 minutes ago  expired 1 day ago  aaaaaaaa");
  });

  it("shows its state since when, how it came last, its certificate, and that it may renew it", () => {
    const lines = describeDevice({ ...laptop, connections: 3 }, shown).split("\n");
    const value = (label: string) => lines.find((line) => line.startsWith(label)) ?? "";
    expect(value("state")).toContain("held 1 hour ago");
    expect(value("last seen")).toContain("over quic from 192.0.2.9");
    expect(value("connections")).toMatch(/3$/);
    expect(value("certificate")).toMatch(/expired 1 day ago \(.*\), of authority 2, serial 00ff$/);
    expect(value("readmitted")).toContain("until in 1 day");
  });

  it("that is fine and was never readmitted has no line about it", () => {
    const lines = describeDevice(asDevice({ ...laptop, state: "active", readmittedUntil: 0 }), shown).split(
      "\n",
    );
    expect(lines.some((line) => line.startsWith("readmitted"))).toBe(false);
    expect(lines.find((line) => line.startsWith("state"))).toMatch(/active$/);
  });

  it("has what it may do before what it may not, by resource, and its own long id cut short", () => {
    const own = `devices/${laptop.id}/…`;
    const rights = [
      { action: "pair:open", resource: "gatehouse", allowed: false },
      { action: "gatehouse:ping", resource: "gatehouse", allowed: true },
      { action: "secret:reveal", resource: own, allowed: true },
      { action: "secret:write", resource: own, allowed: true },
    ];
    expect(rightsTable(rights, laptop.id, plain).split("\n")).toEqual([
      "may",
      "  gatehouse            gatehouse:ping",
      "  devices/aaaaaaaa…/…  secret:reveal, secret:write",
      "may not",
      "  gatehouse  pair:open",
    ]);
    expect(rightsTable(rights.slice(1), laptop.id, plain)).not.toContain("may not");
  });
});

describe("the authority", () => {
  const generation = (number: number, state: string, changesAt: number) => ({
    ...{ number, state, changesAt, createdAt: NOW - DAY, expiresAt: NOW + 3_650 * DAY },
    certificate: Uint8Array.of(48, number),
  });

  it("says which generation certifies whom, and when that changes by itself", () => {
    const authority = asAuthority({
      generations: [generation(2, "introduced", NOW + 31 * DAY), generation(1, "serving", NOW + 62 * DAY)],
      ...{ serverCertificateSerial: "00ff", serverCertificateExpiresAt: NOW + 20 * DAY, revocationEpoch: 7 },
    });
    expect(authority.generations[0]?.certificate).toBe("MAI=");
    const text = describeAuthority(authority, shown);
    expect(text).toMatch(/^2 +introduced +certifies devices +1 day ago .* in 31 days/m);
    expect(text).toMatch(/^1 +serving +certifies the gatehouse /m);
    expect(text).toMatch(/^gatehouse's certificate +expires in 20 days/m);
    expect(text).toMatch(/^revocation epoch +7$/m);
  });

  it("of one generation certifies everybody by it", () => {
    const text = describeAuthority(asAuthority({ generations: [generation(1, "serving", 0)] }), shown);
    expect(text).toMatch(/^1 +serving +certifies devices and the gatehouse/m);
  });

  it("is written as PEM in lines of 64", () => {
    expect(pem("X509 CRL", Buffer.alloc(50, 1))).toBe(
      `-----BEGIN X509 CRL-----\n${"AQEB".repeat(16)}\nAQE=\n-----END X509 CRL-----\n`,
    );
  });
});

describe("what needs somebody", () => {
  const fine = {
    ...{ quarantinedDevices: 0, heldDevices: 0, burntCodes: 0, clockSkewMs: 300_000 },
    certificateExpiresAt: NOW + DAY,
  };
  const around = { commandLine: (words: string) => `gatehouse ${words} --home /srv`, nowMs: NOW };
  const notice = (concern: Partial<typeof fine>) => noticesOf({ ...fine, ...concern }, around);

  it("is nothing when all is well", () => {
    expect(notice({})).toEqual([]);
  });

  it.each([
    [{ quarantinedDevices: 1 }, "1 device in quarantine", "gatehouse device release DEVICE --home /srv"],
    [{ heldDevices: 2 }, "2 devices held", "gatehouse device release --all-held --home /srv"],
    [{ burntCodes: 1 }, "1 pairing code burnt", "gatehouse pair open --uri-only --home /srv"],
    [{ clockSkewMs: 300_001 }, "clock is 5 minutes behind the gatehouse's", "set the wrong one right"],
    [{ clockSkewMs: -7_200_000 }, "clock is 2 hours ahead of the gatehouse's", "set the wrong one right"],
    [{ certificateExpiresAt: NOW }, "certificate has run out", "gatehouse ca renew --home /srv"],
  ])("is said with what to do: %j", (concern, what, remedy) => {
    const [line, ...more] = notice(concern);
    expect(more).toEqual([]);
    expect(line).toContain(what);
    expect(line).toContain(remedy);
  });
});
