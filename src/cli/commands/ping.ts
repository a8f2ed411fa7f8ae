import { Option } from "commander";
import type { Wire } from "../../client/index.ts";
import { parseDuration } from "../../config/index.ts";
import { GatehouseError, systemClock } from "../../core/index.ts";
import { parseCount } from "../arguments.ts";
import type { Commands, Context } from "../context.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";

export function addPing({ program, bind }: Commands): void {
  const command = program
    .command("ping [name]")
    .description("measure round trips to a gatehouse")
    .option("--count <n>", "how many", "10")
    .addOption(
      new Option("--wire <wire>", "over this one alone; by default whichever gets through").choices([
        "quic",
        "grpc",
      ]),
    )
    .option("--interval <duration>", "from one answer to the next question", "100ms");
  bind(withRemoteOption(command), run);
}

interface PingOptions extends RemoteOption {
  readonly count: string;
  readonly interval: string;
  readonly wire?: Wire;
}

async function run(context: Context, [name]: readonly string[], options: PingOptions): Promise<undefined> {
  const count = parseCount(options.count, "--count", { min: 1, max: 1_000_000 });
  const intervalMs = options.interval === "0" ? 0 : parseDuration(options.interval);
  const on = options.on ?? name;
  const { ping } = await import("../../measure/index.ts");
  const { output, signal, config } = context;
  const { wire: wished } = options;
  const report = await withSession(
    { ...context, wire: wished },
    on === undefined ? {} : { on },
    ({ client }) =>
      ping(client, {
        ...{ count, intervalMs, timeoutMs: config.timeoutMs, clock: systemClock, signal },
        onReply: (sequence, rttMs) => output.progress(`${sequence} of ${count}: ${milliseconds(rttMs)}`),
      }),
  );
  const { sent, received, rttMs, wire, wireReason, handshakeMs } = report;
  if (rttMs === undefined) {
    throw new GatehouseError("quic.timed-out", `none of ${sent} pings was answered`, {
      hint: "look whether the gatehouse still serves, and at the network between",
    });
  }
  output.result(report, () =>
    [
      `${received} of ${sent} answered over ${wire} (${wireReason}), handshake ${milliseconds(handshakeMs)}`,
      `round trip  min ${milliseconds(rttMs.min)}  p50 ${milliseconds(rttMs.p50)}  p95 ${milliseconds(rttMs.p95)}  ` +
        `p99 ${milliseconds(rttMs.p99)}  max ${milliseconds(rttMs.max)}`,
    ].join("\n"),
  );
}

function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`;
}
