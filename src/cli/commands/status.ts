import type { Commands, Context } from "../context.ts";
import { noticesOf } from "../notices.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { facts } from "../table.ts";
import { grouped, relativeDate } from "../words.ts";

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

const WIRES = { quic: "QUIC", grpc: "gRPC over TCP" } as const;

type Status = Awaited<ReturnType<typeof ask>>;

async function ask({ client, methods, options }: Session) {
  const askedAt = Date.now();
  const answer = await client.call(methods.Health.Status, {}, options);
  const answeredAt = Date.now();
  const { name, deviceId, fingerprint, version, state, reason, quic, grpc, devices } = answer;
  const { quarantinedDevices, heldDevices, burntCodes, certificateExpiresAt, now, keyKinds } = answer;
  return {
    ...{
      name,
      deviceId,
      fingerprint,
      version,
      wire: client.wire,
      wireReason: client.wireReason,
      state,
      reason,
      quic,
      grpc,
    },
    ...{ devices, quarantinedDevices, heldDevices, burntCodes, certificateExpiresAt },
    keyKinds: [...keyKinds],
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
      ["address", status.quic === "" ? "no QUIC" : status.quic],
      ["gRPC", status.grpc === "" ? "off" : status.grpc],
      ["devices", String(status.devices)],
      ["certificate", expiry(status.certificateExpiresAt, now)],
      ["device id", status.deviceId],
      ["fingerprint", grouped(status.fingerprint)],
      ["version", status.version],
      ["asked over", `${WIRES[status.wire]}: ${status.wireReason}`],
    ],
    style,
  );
  const notices = noticesOf(status, { commandLine, nowMs: now }).map((notice) => style.yellow(notice));
  return [lines, ...(notices.length === 0 ? [] : ["", ...notices])].join("\n");
}

function expiry(expiresAt: number, nowMs: number): string {
  return `${expiresAt > nowMs ? "expires" : "expired"} ${relativeDate(expiresAt, nowMs)}`;
}
