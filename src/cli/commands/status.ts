import type { Commands } from "../context.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

export function addStatus({ program, bind }: Commands): void {
  const command = program.command("status").description("show who a gatehouse is and how it is");
  bind(withRemoteOption(command), async (context, _args, options: RemoteOption) => {
    const status = await withSession(context, options, async ({ client, methods, options: call }) => {
      const answer = await client.call(methods.Health.Status, {}, call);
      const { name, deviceId, fingerprint, state, reason, quic, devices, version } = answer;
      return { name, deviceId, fingerprint, state, reason, quic, devices, version, wire: client.wire };
    });
    context.output.result(status, () =>
      facts(
        [
          ["name", status.name],
          ["state", status.reason === "" ? status.state : `${status.state}: ${status.reason}`],
          ["address", status.quic],
          ["devices", String(status.devices)],
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
