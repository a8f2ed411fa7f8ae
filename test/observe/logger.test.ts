import { describe, expect, it } from "vitest";
import type { LogFields } from "../../src/core/index.ts";
import { createLogger, redact } from "../../src/observe/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

function collect(format: "json" | "text", level: "debug" | "info" | "warn" | "error" = "info") {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { lines, logger: createLogger({ level, format, destination, clock: new ManualClock() }) };
}

describe("a logger", () => {
  it("writes one JSON object a line with the clock's time", () => {
    const { lines, logger } = collect("json");
    logger.warn("peer-refused", { source: "192.0.2.1", attempts: 3 });
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        level: "warn",
        time: "2023-11-14T22:13:20.000Z",
        event: "peer-refused",
        source: "192.0.2.1",
        attempts: 3,
      },
    ]);
    expect(lines[0]?.endsWith("\n")).toBe(true);
  });

  it("keeps quiet below its level", () => {
    const { lines, logger } = collect("json", "error");
    logger.debug("a");
    logger.info("b");
    logger.warn("c");
    logger.error("d");
    expect(lines).toHaveLength(1);
  });

  it("writes short text for people in which a peer's escape sequences are dead", () => {
    const { lines, logger } = collect("text");
    logger.info("device-named", { name: "\u001b[2Jgone\nnext line" });
    expect(lines).toEqual(['22:13:20 info  device-named name="\\u001b[2Jgone\\nnext line"\n']);
  });

  it.each([
    ...["secret", "clientSecret", "password", "user_passphrase", "accessToken", "refresh-token", "apiKey"],
    ...["privateKey", "kek", "dekBytes", "pairingCode", "cookie", "Authorization", "credentials"],
  ])("hides the field %s in every format", (key) => {
    for (const format of ["json", "text"] as const) {
      const { lines, logger } = collect(format);
      logger.error("oops", { [key]: "hunter2" });
      expect(lines.join("")).not.toContain("hunter2");
      expect(lines.join("")).toContain("[redacted]");
    }
  });

  it.each(["code", "publicKey", "deviceId", "spinner", "tokenizer"])("shows the field %s", (key) => {
    expect(redact({ [key]: "plain" })).toEqual({ [key]: "plain" });
  });

  it("hides a pairing URI wherever it turns up", () => {
    const fields: LogFields = { message: "tried gatehouse://127.0.0.1:7443/?s=abcdef and failed" };
    expect(redact(fields)).toEqual({ message: "tried [redacted] and failed" });
  });

  it("cuts a text that a peer made long", () => {
    expect(String(redact({ name: "x".repeat(100_000) })["name"]).length).toBe(513);
  });
});
