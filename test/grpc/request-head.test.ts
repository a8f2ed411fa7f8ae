import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { readHead } from "../../src/grpc/request-head.ts";

const GOOD = { ":method": "POST", ":path": "/gatehouse.v1.Health/Ping", "content-type": "application/grpc" };
const ID = Uint8Array.from({ length: 16 }, (_, at) => at * 9);
const ID_TEXT = Buffer.from(ID).toString("base64");

const openOf = (headers: Record<string, string>) => {
  const head = readHead({ ...GOOD, ...headers });
  return head.kind === "call" ? head.open : head;
};
const codeOf = (headers: Record<string, string>) => {
  const head = readHead({ ...GOOD, ...headers });
  return head.kind === "refused" ? head.error.code : head.kind;
};

describe("the head of a gRPC call", () => {
  it("opens a call as QUIC's first frame does", () => {
    const timeoutMs = 1_500;
    const given = { "grpc-timeout": "1500m", "gatehouse-request-id-bin": ID_TEXT, traceparent: "00-a-b-01" };
    expect(openOf(given)).toEqual({
      method: GOOD[":path"],
      timeoutMs,
      requestId: ID,
      traceparent: "00-a-b-01",
    });
    expect(openOf({ "gatehouse-request-id-bin": ID_TEXT.replace(/=/g, "") })).toMatchObject({
      requestId: ID,
    });
    expect(openOf({ "content-type": "application/grpc+proto" })).toMatchObject({
      timeoutMs: 0,
      requestId: undefined,
    });
  });

  it.each([
    ["1H", LIMITS.callTimeoutMaxMs],
    ["99999999H", LIMITS.callTimeoutMaxMs],
    ["2M", 120_000],
    ["7S", 7_000],
    ["1u", 1],
    ["2500000n", 3],
    ["0m", 1],
  ])("reads the time %s as %i ms", (text, timeoutMs) => {
    expect(openOf({ "grpc-timeout": text })).toMatchObject({ timeoutMs });
  });

  it.each(["1", "S", "1s", "-1S", "1.5S", "123456789S", "1S ", "1S2S"])("refuses the time %j", (text) => {
    expect(codeOf({ "grpc-timeout": text })).toBe("rpc.bad-frame");
  });

  it("refuses a request id that is none, and a name that is too long", () => {
    for (const text of ["AAAA", "!", `${ID_TEXT}, ${ID_TEXT}`, Buffer.alloc(17).toString("base64")]) {
      expect(codeOf({ "gatehouse-request-id-bin": text })).toBe("rpc.bad-frame");
    }
    expect(codeOf({ ":path": `/${"x".repeat(200)}` })).toBe("rpc.bad-frame");
  });

  it("refuses compression in words that clients know, and leaves a broken trace out", () => {
    expect(codeOf({ "grpc-encoding": "gzip" })).toBe("rpc.unsupported-encoding");
    expect(codeOf({ "grpc-encoding": "identity" })).toBe("call");
    expect(openOf({ traceparent: "x".repeat(300) })).toMatchObject({ traceparent: "" });
  });

  it("answers who does not speak gRPC in HTTP's words", () => {
    expect(readHead({ ...GOOD, ":method": "GET" })).toEqual({ kind: "not-grpc", httpStatus: 405 });
    for (const type of ["application/grpc+json", "application/grpcx", "text/html"]) {
      expect(readHead({ ...GOOD, "content-type": type })).toEqual({ kind: "not-grpc", httpStatus: 415 });
    }
  });

  it("is read to some end, whatever it says", () => {
    const names = fc.constantFrom(
      ...Object.keys(GOOD),
      "grpc-timeout",
      "grpc-encoding",
      "gatehouse-request-id-bin",
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(names, fc.string())), (entries) => {
        expect(readHead({ ...GOOD, ...Object.fromEntries(entries) }).kind).toMatch(
          /^(call|refused|not-grpc)$/,
        );
      }),
    );
  });
});
