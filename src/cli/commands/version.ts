import type { Commands } from "../context.ts";
import { packageVersion } from "../package-version.ts";

export function addVersion({ program, bind }: Commands): void {
  bind(program.command("version").description("print this program's version"), async ({ output, io }) => {
    const version = packageVersion();
    output.result({ version, platform: io.platform }, () => `gatehouse ${version}`);
    return undefined;
  });
}
