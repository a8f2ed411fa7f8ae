import { LIMITS } from "../core/index.ts";
import { plural, roughDuration } from "./words.ts";

/** What of a gatehouse's state may need somebody. */
export interface Concerns {
  readonly quarantinedDevices: number;
  readonly heldDevices: number;
  /** Pairing codes burnt within the last hour. */
  readonly burntCodes: number;
  /** The gatehouse's clock before this machine's. */
  readonly clockSkewMs: number;
  /** Of the gatehouse's own certificate, Unix milliseconds; 0 when unknown. */
  readonly certificateExpiresAt: number;
}

interface Surroundings {
  readonly commandLine: (words: string) => string;
  readonly nowMs: number;
}

/** What waits for somebody, a sentence each with what to type. */
export function noticesOf(concerns: Concerns, { commandLine, nowMs }: Surroundings): readonly string[] {
  const { quarantinedDevices, heldDevices, burntCodes, clockSkewMs, certificateExpiresAt } = concerns;
  const notices: string[] = [];
  if (quarantinedDevices > 0) {
    notices.push(
      `${plural(quarantinedDevices, "device")} in quarantine, for freezing the gatehouse; ` +
        `see: ${commandLine("device ls --state quarantined")}; let in: ${commandLine("device release DEVICE")}`,
    );
  }
  if (heldDevices > 0) {
    notices.push(
      `${plural(heldDevices, "device")} held, since the gatehouse was restored from a copy; ` +
        `see: ${commandLine("device ls --state held")}; let in: ${commandLine("device release DEVICE")}; ` +
        `all of them: ${commandLine("device release --all-held")}`,
    );
  }
  if (burntCodes > 0) {
    notices.push(
      `${plural(burntCodes, "pairing code")} burnt by a wrong guess within the last hour; if nobody mistyped, ` +
        `somebody is guessing, so pair with: ${commandLine("pair open --uri-only")}`,
    );
  }
  // Certificates are backdated by as much: a clock that is off by more keeps devices out.
  if (Math.abs(clockSkewMs) > LIMITS.certificateBackdateMs) {
    const direction = clockSkewMs > 0 ? "behind" : "ahead of";
    notices.push(
      `this machine's clock is ${roughDuration(Math.abs(clockSkewMs))} ${direction} the gatehouse's; ` +
        "set the wrong one right, or certificates will not be good when they should",
    );
  }
  if (certificateExpiresAt > 0 && certificateExpiresAt <= nowMs) {
    notices.push(`the gatehouse's own certificate has run out; renew it: ${commandLine("ca renew")}`);
  }
  return notices;
}
