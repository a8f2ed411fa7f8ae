import { readFileSync } from "node:fs";
import type { Commands } from "../context.ts";

export function addVersion({ program, bind }: Commands): void {
  bind(program.command("version").description("print this program's version"), async ({ output, io }) => {
    const version = packageVersion();
    output.result({ version, platform: io.platform }, () => `gatehouse ${version}`);
    return undefined;
  });
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../../../package.json", import.meta.url), "utf8"),
  );
  const isNamed = typeof manifest === "object" && manifest !== null && "version" in manifest;
  return isNamed ? String(manifest.version) : "unknown";
}
