import { isIPv4, isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import { sourceOf } from "../../src/quic/address.ts";
import { dialable, formatAddress } from "../../src/quic/index.ts";

describe("dialable", () => {
  it("leaves an address of one interface as it is", () => {
    for (const host of ["127.0.0.1", "192.0.2.7", "::1"]) {
      expect(dialable({ host, port: 7 }, "network")).toEqual({ host, port: 7 });
    }
  });

  it("answers loopback for a wildcard on this machine, and some address of the same family for the network", () => {
    expect(dialable({ host: "0.0.0.0", port: 7 }, "this-machine")).toEqual({ host: "127.0.0.1", port: 7 });
    expect(dialable({ host: "::", port: 7 }, "this-machine")).toEqual({ host: "::1", port: 7 });
    const four = dialable({ host: "0.0.0.0", port: 7 }, "network").host;
    const six = dialable({ host: "::", port: 7 }, "network").host;
    expect([isIPv4(four), four === "0.0.0.0"]).toEqual([true, false]);
    expect([isIPv6(six), six === "::"]).toEqual([true, false]);
  });
});

describe("formatAddress", () => {
  it("puts IPv6 in brackets", () => {
    expect(formatAddress({ host: "::1", port: 7443 })).toBe("[::1]:7443");
    expect(formatAddress({ host: "127.0.0.1", port: 7443 })).toBe("127.0.0.1:7443");
  });
});

describe("sourceOf", () => {
  it("counts an IPv4 address by itself, mapped into IPv6 or not, and IPv6 by its /64", () => {
    expect(sourceOf("192.0.2.7")).toBe("192.0.2.7");
    expect(sourceOf("::ffff:192.0.2.7")).toBe("192.0.2.7");
    expect(sourceOf("2001:db8:0:1::7")).toBe("2001:db8:0:1");
    expect(sourceOf("2001:0db8:0000:0001:ffff::")).toBe("2001:db8:0:1");
    expect(sourceOf("2001:db8:0:2::7")).not.toBe(sourceOf("2001:db8:0:1::7"));
    expect(sourceOf("fe80::1%eth0")).toBe("fe80:0:0:0");
    expect(sourceOf("::1")).toBe("0:0:0:0");
  });
});
