import { type ConfigFile, type ConfigSources, locateConfig } from "../config/index.ts";
import { fromUtf8, GatehouseError, isGatehouseError } from "../core/index.ts";
import { checkTrusted, readSmallFile } from "../files/index.ts";

/**
 * The configuration file, if there is one: it says which programs run here, so nobody else may be able to change it.
 * @throws GatehouseError `config.invalid`, `home.bad-permissions`, `file.*`; as `locateConfig`
 */
export async function readConfigFile(sources: ConfigSources): Promise<ConfigFile | undefined> {
  const { path, isAskedFor } = locateConfig(sources);
  try {
    await checkTrusted(path);
    return { path, text: asText(path, await readSmallFile(path)) };
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found") && !isAskedFor) return undefined;
    throw failure;
  }
}

function asText(path: string, bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new GatehouseError("config.invalid", `${path} is not UTF-8 text`, { cause });
  }
}
