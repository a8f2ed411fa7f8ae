import {
  type Config,
  describeDeviceLimits,
  formatListenAddress,
  type SettingName,
} from "../../config/index.ts";
import type { Commands, Context } from "../context.ts";
import { table } from "../table.ts";

export function addConfig({ program, bind }: Commands): void {
  const config = program.command("config").description("what this home is configured to");
  bind(
    config
      .command("show")
      .description("print every setting as it is in force")
      .option("--origin", "also say where each one comes from"),
    show,
  );
}

interface ShowOptions {
  readonly origin?: boolean;
}

async function show(
  { config, output }: Context,
  _args: readonly string[],
  { origin: withOrigin = false }: ShowOptions,
): Promise<undefined> {
  const rows = [...settingsOf(config), ...limitsOf(config)];
  const document = rows.map(({ name, value, origin }) => ({
    name,
    value,
    ...(withOrigin ? { origin } : {}),
  }));
  output.result({ file: config.configFile, settings: document }, () =>
    table(
      withOrigin ? ["setting", "value", "origin"] : ["setting", "value"],
      rows.map(({ name, value, origin }) => (withOrigin ? [name, value, origin] : [name, value])),
      output.style,
    ),
  );
  return undefined;
}

interface Row {
  readonly name: string;
  readonly value: string;
  readonly origin: string;
}

function settingsOf(config: Config): readonly Row[] {
  const values: Readonly<Record<SettingName, string>> = {
    ...{ home: config.home, key_dir: config.keyDir, config: config.configFile, name: config.name },
    listen: config.listen.map(formatListenAddress).join(", "),
    grpc: grpcOf(config),
    timeout: `${config.timeoutMs}ms`,
    certificate_lifetime: `${config.certificateLifetimeMs / 3_600_000}h`,
    ...{ log_level: config.logLevel ?? "info, on a terminal warn", debug: config.isDebug ? "1" : "0" },
  };
  return Object.entries(values).map(([name, value]) => ({
    ...{ name, value, origin: config.origins[name as SettingName] },
  }));
}

function grpcOf({ grpc, listen }: Config): string {
  return grpc === "off" ? grpc : (grpc ?? listen).map(formatListenAddress).join(", ");
}

function limitsOf({ limits }: Config): readonly Row[] {
  return Object.entries(describeDeviceLimits(limits)).map(([name, value]) => ({
    ...{ name, value: String(value), origin: limits.said.has(name) ? "file" : "default" },
  }));
}
