import type { LogLevel } from "../config/index.ts";
import type { Clock, Logger } from "../core/index.ts";
import type { Context } from "./context.ts";

/** For what runs on: commands that only ask and answer do without, and without the time to load it. */
export async function stderrLogger({ io, config, output }: Context, clock: Clock): Promise<Logger> {
  const { createLogger } = await import("../observe/index.ts");
  const level: LogLevel = config.logLevel ?? (output.isWatched ? "warn" : "info");
  const format = io.stderr.isTTY === true ? "text" : "json";
  return createLogger({ level, format, destination: io.stderr, clock });
}
