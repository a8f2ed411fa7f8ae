import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { ToolDefinition, ToolParameter } from "../tools/index.ts";
import type { Granted } from "./guard.ts";
import type { Peer } from "./peer.ts";
import { ToolCall } from "./tool-call.ts";
import { type ToolServiceParts, toolIn } from "./tool-parts.ts";

export function toolsService(router: Router<Peer>, parts: ToolServiceParts): void {
  const { guard, shop } = parts;

  router.handle(METHODS.Tools.List, (_request, context) => {
    const granted = guard.granted(context);
    return { tools: [...shop.tools.values()].filter((tool) => isVisible(granted, tool)).map(record) };
  });

  router.handle(METHODS.Tools.Show, ({ name }) => record(toolIn(shop, name)));

  router.handle(METHODS.Tools.Run, (request, context) => {
    const call = new ToolCall({ ...parts, request, context, granted: guard.granted(context) });
    return guard.supervised(context, call.events(), () => call.failureNow());
  });
}

function isVisible(granted: Granted, { name, groups }: ToolDefinition): boolean {
  const resource = { kind: "tool", name, groups } as const;
  return granted.may("tool:list", resource) || granted.may("tool:run", resource);
}

function record(tool: ToolDefinition) {
  const { name, description, groups, timeoutMs, outputBytesMax, needsApproval } = tool;
  return {
    ...{ name, description, groups: [...groups], timeoutMs, outputBytesMax, needsApproval },
    ...{ runsAs: runsAs(tool), parameters: tool.parameters.map(parameterRecord) },
  };
}

/** For people. */
function runsAs({ account, sandbox }: ToolDefinition): string {
  if (account !== undefined) return `user:${account.user}`;
  return sandbox === undefined ? "same-user" : "sandbox";
}

function parameterRecord(parameter: ToolParameter) {
  const { name, type, description, default: preset } = parameter;
  return {
    ...{ name, type, description, isRequired: preset === undefined, default: preset ?? "" },
    choices: parameter.type === "choice" ? [...parameter.choices] : [],
    pattern: parameter.type === "string" ? (parameter.pattern ?? "") : "",
  };
}
