import { isGatehouseError } from "../core/index.ts";
import type { ToolShop } from "../services/index.ts";
import { checkRunnable, hasBubblewrap, type ToolDefinition, ToolRunner } from "../tools/index.ts";
import type { Effects } from "./storage.ts";

export interface ToolShopParts extends Pick<Effects, "clock" | "logger"> {
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  /** The home and the key directory: no sandbox shows them. */
  readonly protectedDirs: readonly string[];
}

/** Runs the declared tools; its disposal ends those that run. One that could not run now is told to the log. */
export class Workshop implements ToolShop, AsyncDisposable {
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  readonly #runner: ToolRunner;

  constructor({ tools, protectedDirs, clock, logger }: ToolShopParts) {
    const uid = process.getuid?.() ?? 0;
    this.tools = tools;
    this.#runner = new ToolRunner({ uid, protectedDirs, clock, logger });
    for (const tool of tools.values()) {
      try {
        checkRunnable(tool, { uid, hasBubblewrap: hasBubblewrap() });
      } catch (failure) {
        if (!isGatehouseError(failure)) throw failure;
        logger.warn("tool-not-runnable", {
          tool: tool.name,
          error: failure.message,
          hint: failure.hint ?? "",
        });
      }
    }
  }

  readonly run: ToolShop["run"] = (call, options) => this.#runner.run(call, options);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#runner[Symbol.asyncDispose]();
  }
}
