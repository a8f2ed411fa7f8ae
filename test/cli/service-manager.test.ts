import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ServiceManager } from "../../src/cli/service-manager.ts";
import { EXIT, LIMITS, type Logger, silentLogger } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

describe("what a service manager is told", () => {
  let dir: string;
  let clock: ManualClock;
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (event) => void warnings.push(event) };
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "gatehouse-notify-"));
    clock = new ManualClock();
    warnings.length = 0;
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** Stands where systemd's tool would, and writes down socket and words. */
  const installTool = (): void => {
    const tool = join(dir, "systemd-notify");
    writeFileSync(tool, `#!/bin/sh\nprintf '%s %s\\n' "$NOTIFY_SOCKET" "$*" >> "${dir}/told"\n`);
    chmodSync(tool, 0o755);
  };
  const told = (): readonly string[] => {
    const file = join(dir, "told");
    return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  };
  const manager = (env: Readonly<Record<string, string>> = {}): ServiceManager | undefined => {
    const all = { PATH: `${dir}:/usr/bin:/bin`, NOTIFY_SOCKET: "/run/notify", ...env };
    return ServiceManager.of({ env: all, pid: 42 }, clock, logger);
  };

  it("is that the door is open, that it lives, and that it closes", async () => {
    installTool();
    using manages = manager({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "42" });
    manages?.ready();
    await expect.poll(told).toEqual(["/run/notify READY=1"]);
    clock.advance(14_999);
    clock.advance(1);
    const alive = "/run/notify WATCHDOG=1";
    await expect.poll(told).toEqual(["/run/notify READY=1", alive]);
    manages?.stopping();
    await expect.poll(told).toEqual(["/run/notify READY=1", alive, "/run/notify STOPPING=1"]);
    clock.advance(15_000);
    await expect.poll(told).toHaveLength(4);
    expect(told().at(-1)).toBe(alive);
    expect(warnings).toEqual([]);
  });

  it.each([
    ["it wants none", {}],
    ["it means another process", { WATCHDOG_USEC: "30000000", WATCHDOG_PID: "41" }],
    ["it cannot be understood", { WATCHDOG_USEC: "-1" }],
  ])("holds no signs of life when %s", async (_why, env) => {
    installTool();
    using manages = manager(env);
    manages?.ready();
    clock.advance(86_400_000);
    manages?.stopping();
    await expect.poll(() => told().length).toBe(2);
    expect(told().some((line) => line.includes("WATCHDOG"))).toBe(false);
  });

  it("is nothing when nobody listens, and a warning when the tool is missing", async () => {
    expect(manager({ NOTIFY_SOCKET: "" })).toBeUndefined();
    using manages = manager({ PATH: dir });
    manages?.ready();
    await expect.poll(() => warnings).toEqual(["service-manager-not-told"]);
  });
});

describe("the unit for systemd", () => {
  const unit = readFileSync(new URL("../../contrib/gatehouse.service", import.meta.url), "utf8");
  const value = (key: string): string => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1] ?? "";

  it("lets the daemon's own watchdog and an orderly end come first", () => {
    expect(Number(value("WatchdogSec")) * 1_000).toBeGreaterThan(2 * LIMITS.watchdogSilenceMs);
    expect(Number(value("TimeoutStopSec")) * 1_000).toBeGreaterThan(LIMITS.superviseStopMs);
    expect(value("NotifyAccess")).toBe("all");
  });

  it("starts again after the unexpected, and after nothing that would only happen again", () => {
    const { usage, notFound, conflict, sealed, integrity } = EXIT;
    const hopeless = [usage, notFound, conflict, sealed, integrity].join(" ");
    expect(value("Restart")).toBe("on-failure");
    expect(value("RestartPreventExitStatus")).toBe(hopeless);
  });
});
