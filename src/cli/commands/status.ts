import type { Commands } from "../context.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

export function addStatus({ program, bind }: Commands): void {
  const command = program.command("status").description("show who a gatehouse is and how it is");
  bind(withRemoteOption(command), async (context, _args, options: RemoteOption) => {
    const status = await withSession(context, options, async ({ client, methods, options: call }) => {
      const answer = await client.call(methods.Health.Status, {}, call);
      const { name, deviceId, fingerprint, state, reason, quic, devices, quarantinedDevices } = answer;
      const { version } = answer;
      const { wire } = client;
      const counters = Object.fromEntries(answer.counters.map((counter) => [counter.name, counter.value]));
      const identity = { name, deviceId, fingerprint, version, wire };
      return { ...identity, state, reason, quic, devices, quarantinedDevices, counters };
    });
    context.output.result(status, () =>
      facts(
        [
          ["name", status.name],
          ["state", status.reason === "" ? status.state : `${status.state}: ${status.reason}`],
          ["address", status.quic],
          ["devices", devicesOf(status)],
          ["device id", status.deviceId],
          ["fingerprint", grouped(status.fingerprint)],
          ["version", status.version],
          ["asked over", status.wire],
        ],
        context.output.style,
      ),
    );
    return undefined;
  });
}

function devicesOf({
  devices,
  quarantinedDevices,
}: Record<"devices" | "quarantinedDevices", number>): string {
  if (quarantinedDevices === 0) return String(devices);
  return `${devices}, and ${quarantinedDevices} in quarantine (see: gatehouse device ls)`;
}
