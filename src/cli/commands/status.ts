import type { Commands, Context } from "../context.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { facts } from "../table.ts";
import { grouped, plural, relativeDate, roughDuration } from "../words.ts";

/** What certificates are backdated by: a clock that is off by more keeps devices out. */
const CLOCK_SKEW_MAX_MS = 300_000;

export function addStatus({ program, bind }: Commands): void {
  const command = program
    .command("status")
    .description("show who a gatehouse is, how it is, and what needs somebody");
  bind(withRemoteOption(command), async (context, _args, options: RemoteOption) => {
    const status = await withSession(context, options, ask);
    context.output.result(status, () => describe(context, status));
    return undefined;
  });
}

type Status = Awaited<ReturnType<typeof ask>>;

async function ask({ client, methods, options }: Session) {
  const askedAt = Date.now();
  const answer = await client.call(methods.Health.Status, {}, options);
  const answeredAt = Date.now();
  const { name, deviceId, fingerprint, version, state, reason, quic, devices } = answer;
  const { quarantinedDevices, heldDevices, burntCodes, certificateExpiresAt, now } = answer;
  return {
    ...{ name, deviceId, fingerprint, version, wire: client.wire, state, reason, quic },
    ...{ devices, quarantinedDevices, heldDevices, burntCodes, certificateExpiresAt },
    // The gatehouse's clock against the middle of the round trip; positive when the gatehouse's is ahead.
    clockSkewMs: now === 0 ? 0 : Math.round(now - (askedAt + answeredAt) / 2),
    counters: Object.fromEntries(answer.counters.map((counter) => [counter.name, counter.value])),
  };
}

function describe({ output, commandLine }: Context, status: Status): string {
  const { style } = output;
  const now = Date.now();
  const lines = facts(
    [
      ["name", status.name],
      ["state", status.reason === "" ? status.state : `${status.state}: ${status.reason}`],
      ["address", status.quic],
      ["devices", String(status.devices)],
      ["certificate", expiry(status.certificateExpiresAt, now)],
      ["device id", status.deviceId],
      ["fingerprint", grouped(status.fingerprint)],
      ["version", status.version],
      ["asked over", status.wire],
    ],
    style,
  );
  const notices = noticesOf(status, commandLine).map((notice) => style.yellow(notice));
  return [lines, ...(notices.length === 0 ? [] : ["", ...notices])].join("\n");
}

function expiry(expiresAt: number, nowMs: number): string {
  return `${expiresAt > nowMs ? "expires" : "expired"} ${relativeDate(expiresAt, nowMs)}`;
}

/** What waits for somebody, each with what to type. */
function noticesOf(status: Status, commandLine: Context["commandLine"]): readonly string[] {
  const { quarantinedDevices, heldDevices, burntCodes, clockSkewMs, certificateExpiresAt } = status;
  const notices: string[] = [];
  if (quarantinedDevices > 0) {
    notices.push(
      `${plural(quarantinedDevices, "device")} in quarantine, for freezing the gatehouse: ` +
        `see ${commandLine("device ls --state quarantined")}, let one in with ${commandLine("device release DEVICE")}`,
    );
  }
  if (heldDevices > 0) {
    notices.push(
      `${plural(heldDevices, "device")} held since the gatehouse was restored from a copy: ` +
        `see ${commandLine("device ls --state held")}, let in with ${commandLine("device release DEVICE")}, ` +
        `or all of them with ${commandLine("device release --all-held")}`,
    );
  }
  if (burntCodes > 0) {
    notices.push(
      `${plural(burntCodes, "pairing code")} burnt by a wrong guess within the last hour: if nobody mistyped, ` +
        `somebody is guessing; pair with ${commandLine("pair open --uri-only")}`,
    );
  }
  if (Math.abs(clockSkewMs) > CLOCK_SKEW_MAX_MS) {
    const direction = clockSkewMs > 0 ? "behind" : "ahead of";
    notices.push(
      `this machine's clock is ${roughDuration(Math.abs(clockSkewMs))} ${direction} the gatehouse's: ` +
        "set the wrong one, or certificates will not be good when they should",
    );
  }
  if (certificateExpiresAt > 0 && certificateExpiresAt < Date.now()) {
    notices.push(`the gatehouse's own certificate has run out: renew it with ${commandLine("ca renew")}`);
  }
  return notices;
}
