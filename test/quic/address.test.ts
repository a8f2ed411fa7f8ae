import { describe, expect, it } from "vitest";
import { sourceOf } from "../../src/core/index.ts";
import { dialable, formatAddress } from "../../src/quic/index.ts";

describe("dialable", () => {
  const bound = ["192.0.2.7", "127.0.0.1", "2001:db8::7", "::1"].map((host) => ({ host, port: 7 }));

  it("answers loopback for this machine, and the first other address for the network", () => {
    expect(dialable(bound, "this-machine").host).toBe("127.0.0.1");
    expect(dialable(bound, "network").host).toBe("192.0.2.7");
  });

  it("answers the first address where none is of the wanted kind", () => {
    expect(dialable(bound.slice(0, 1), "this-machine").host).toBe("192.0.2.7");
    expect(dialable(bound.slice(3), "network").host).toBe("::1");
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
