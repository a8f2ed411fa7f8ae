import type { BoundCall } from "./bind.ts";
import type { ToolLimits } from "./definition.ts";
import { findProgram, isProgram } from "./programs.ts";
import { notStartable } from "./runnable.ts";
import { sandboxPrefix } from "./sandbox.ts";

/**
 * The call's argv behind what sets its sandbox and limits up: bubblewrap first, so that the limits bind what runs in it
 * and not bubblewrap.
 *
 * @throws GatehouseError `tool.not-startable`, `tool.unsafe`.
 */
export function commandLine({ tool, argv }: BoundCall, protectedDirs: readonly string[]): readonly string[] {
  const [program = ""] = argv;
  if (!isProgram(program)) {
    const hint = `whoever keeps the gatehouse checks tools.${tool.name}.command`;
    throw notStartable(tool.name, "its program does not exist or may not be executed", hint);
  }
  return [...sandboxOf({ tool, protectedDirs }), ...limitsPrefix(tool.name, tool.limits), ...argv];
}

function sandboxOf({
  tool,
  protectedDirs,
}: Pick<BoundCall, "tool"> & { readonly protectedDirs: readonly string[] }): readonly string[] {
  if (tool.sandbox === undefined) return [];
  const bubblewrap = findProgram("bwrap");
  if (bubblewrap !== undefined) return sandboxPrefix(tool, tool.sandbox, { bubblewrap, protectedDirs });
  throw notStartable(
    tool.name,
    "its sandbox needs bubblewrap",
    "install bubblewrap on the gatehouse's machine",
  );
}

/** prlimit(1) of util-linux. No core files: a secret's environment would lie in them. */
function limitsPrefix(name: string, limits: ToolLimits): readonly string[] {
  const options = [
    ...option("data", limits.memoryBytes),
    ...option("cpu", limits.cpuSeconds),
    ...option("nproc", limits.processes),
    ...option("nofile", limits.openFiles),
    ...option("fsize", limits.fileSizeBytes),
  ];
  if (options.length === 0) return [];
  const prlimit = findProgram("prlimit");
  if (prlimit !== undefined) return [prlimit, "--core=0", ...options, "--"];
  throw notStartable(name, "its limits need prlimit", "install util-linux on the gatehouse's machine");
}

function option(name: string, value: number | undefined): readonly string[] {
  return value === undefined ? [] : [`--${name}=${value}`];
}
