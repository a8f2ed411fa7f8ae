import pino from "pino";
import type { Clock, LogFields, Logger } from "../core/index.ts";
import { redact } from "./redact.ts";

export interface LoggerOptions {
  readonly level: "debug" | "info" | "warn" | "error";
  /** `json`: one object a line; `text`: one short line for people. */
  readonly format: "json" | "text";
  /** Takes whole lines; borrowed, never closed. */
  readonly destination: { write(line: string): unknown };
  readonly clock: Clock;
}

/** A logger of lines `{"level":"info","time":"…","event":"…",…fields}`; fields are redacted first. */
export function createLogger({ level, format, destination, clock }: LoggerOptions): Logger {
  const sink = pino(
    {
      level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
    },
    { write: (line: string) => void destination.write(format === "json" ? line : asText(line)) },
  );
  const log =
    (at: LoggerOptions["level"]) =>
    (event: string, fields: LogFields = {}) =>
      sink[at]({ event, ...redact(fields) });
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

/** Control characters stay escaped, so that a peer's text cannot drive the terminal. */
function asText(line: string): string {
  const { level, time, event, ...fields }: Record<string, unknown> = JSON.parse(line);
  const rest = Object.entries(fields).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${[String(time).slice(11, 19), String(level).padEnd(5), event, ...rest].join(" ")}\n`;
}
