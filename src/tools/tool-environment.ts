import { fromUtf8, GatehouseError, LIMITS } from "../core/index.ts";
import type { ToolDefinition } from "./definition.ts";
import { CALL_VARIABLE } from "./parse-environment.ts";

const DEFAULTS: Readonly<Record<string, string>> = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" };

/**
 * All that the tool's environment holds. Borrows `secrets`, by variable; the answer holds them as texts, which nobody
 * can wipe: drop it when the tool is started.
 *
 * @throws GatehouseError `tool.secret-unfit` for a secret that is not UTF-8, holds a NUL or is too long.
 * @throws TypeError unless `secrets` are the tool's, and `callId` is 16 to 128 of [A-Za-z0-9_-].
 */
export function toolEnvironment(
  tool: ToolDefinition,
  secrets: Readonly<Record<string, Uint8Array>>,
  callId: string,
): Record<string, string> {
  if (!/^[A-Za-z0-9_-]{16,128}$/.test(callId)) throw new TypeError("toolEnvironment: callId is no random id");
  const [declared, given] = [Object.keys(tool.secrets), Object.keys(secrets)];
  if (declared.toSorted().join() !== given.toSorted().join()) {
    throw new TypeError("toolEnvironment: secrets are not those that the tool declares");
  }
  const texts = Object.entries(secrets).map(([name, secret]) => [name, textOf(name, secret)] as const);
  return { ...DEFAULTS, ...tool.environment, ...Object.fromEntries(texts), [CALL_VARIABLE]: callId };
}

function textOf(name: string, secret: Uint8Array): string {
  if (secret.includes(0)) throw unfit(name, "it holds a NUL byte");
  if (name.length + 1 + secret.length > LIMITS.environmentEntryBytes) throw unfit(name, "it is too long");
  try {
    return fromUtf8(secret);
  } catch {
    throw unfit(name, "it is not UTF-8 text");
  }
}

function unfit(name: string, why: string): GatehouseError<"tool.secret-unfit"> {
  return new GatehouseError(
    "tool.secret-unfit",
    `the secret for ${name} fits no environment variable: ${why}`,
    {
      hint: "keep it as text, base64 for example",
    },
  );
}
