import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { isGatehouseError } from "../core/index.ts";
import type { ToolDefinition, ToolSandbox } from "./definition.ts";
import { liesIn } from "./paths.ts";
import { notStartable, unsafe } from "./runnable.ts";

export interface SandboxInput {
  readonly bubblewrap: string;
  /** What no tool may see: the gatehouse's home and its keys. */
  readonly protectedDirs: readonly string[];
}

/** Where systems keep their programs and libraries. */
const SYSTEM_FOLDERS = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/** What programs read to find libraries, names and trusted certificates; nothing in it is for root only. */
const SYSTEM_FILES = [
  ...["ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "passwd", "group", "nsswitch.conf"],
  ...["localtime", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs", "pki/tls/cert.pem"],
  ...["pki/ca-trust/extracted", "crypto-policies", "mime.types"],
].map((name) => `/etc/${name}`);
const NETWORK_FILES = ["resolv.conf", "hosts", "host.conf", "gai.conf", "services", "protocols"].map(
  (name) => `/etc/${name}`,
);
/** Made for each sandbox. */
const OWN_FOLDERS = ["/proc", "/dev", "/tmp"];

/**
 * The command line that runs what comes after it in namespaces of its own, without capabilities, where it sees the
 * system's programs and the declared paths only. It is for `spawn`: the environment passes through, so that no secret
 * stands in an argument. Paths are bound by where their links lead now.
 *
 * @throws GatehouseError `tool.unsafe` for a path that would show a protected directory, `tool.not-startable` for one
 * that does not exist, or a program or directory that cannot be seen inside.
 */
export function sandboxPrefix(
  tool: ToolDefinition,
  sandbox: ToolSandbox,
  { bubblewrap, protectedDirs }: SandboxInput,
): readonly string[] {
  const hidden = protectedDirs.map(realPathOrSame);
  checkVisible(tool, sandbox);
  return [
    ...[bubblewrap, "--unshare-all", ...(sandbox.hasNetwork ? ["--share-net"] : [])],
    ...["--die-with-parent", "--new-session", "--cap-drop", "ALL"],
    ...SYSTEM_FOLDERS.flatMap(systemFolder),
    ...[...SYSTEM_FILES, ...(sandbox.hasNetwork ? NETWORK_FILES : [])].flatMap((path) => [
      "--ro-bind-try",
      path,
      path,
    ]),
    // Root's own processes could write to what bubblewrap leaves open of /proc/sys, which is the whole machine's.
    ...["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
    ...declaredPaths(tool, sandbox, hidden),
    ...hidden.filter(isInSystemFolder).flatMap((path) => ["--tmpfs", path, "--remount-ro", path]),
    ...["--remount-ro", "/", "--chdir", tool.directory, "--"],
  ];
}

function systemFolder(path: string): readonly string[] {
  try {
    return lstatSync(path).isSymbolicLink()
      ? ["--symlink", readlinkSync(path), path]
      : ["--ro-bind", path, path];
  } catch {
    return [];
  }
}

function isInSystemFolder(path: string): boolean {
  return SYSTEM_FOLDERS.some((folder) => liesIn(path, folder));
}

function declaredPaths(
  tool: ToolDefinition,
  { read, write }: ToolSandbox,
  hidden: readonly string[],
): readonly string[] {
  return [
    ...read.flatMap((path) => ["--ro-bind", shown(tool, path, hidden), path]),
    ...write.flatMap((path) => ["--bind", shown(tool, path, hidden), path]),
  ];
}

/** Where `path` really is. */
function shown(tool: ToolDefinition, path: string, hidden: readonly string[]): string {
  try {
    const real = realpathSync(path);
    if (!hidden.some((dir) => liesIn(real, dir) || liesIn(dir, real))) return real;
    const hint = `take it from tools.${tool.name}.sandbox`;
    throw unsafe(tool.name, "a path of its sandbox shows the gatehouse's home or keys", hint);
  } catch (error) {
    if (isGatehouseError(error)) throw error;
    const hint = `every path of tools.${tool.name}.sandbox must exist on the gatehouse's machine`;
    throw notStartable(tool.name, "a path of its sandbox cannot be reached", hint, error);
  }
}

function checkVisible(tool: ToolDefinition, { read, write }: ToolSandbox): void {
  const shownFolders = [...SYSTEM_FOLDERS, ...read, ...write];
  const [program] = tool.command;
  const isVisible = (path: string, folders: readonly string[]): boolean =>
    folders.some((folder) => liesIn(path, folder));
  if (!isVisible(program?.template ?? "", shownFolders)) {
    throw notStartable(tool.name, "its sandbox does not show its program", addRead(tool));
  }
  if (tool.directory !== "/" && !isVisible(tool.directory, [...shownFolders, ...OWN_FOLDERS])) {
    throw notStartable(tool.name, "its sandbox does not show its directory", addRead(tool));
  }
}

function addRead({ name }: ToolDefinition): string {
  return `add it to tools.${name}.sandbox.read`;
}

function realPathOrSame(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
