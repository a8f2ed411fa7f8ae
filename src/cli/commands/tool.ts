import { gathered } from "../arguments.ts";
import type { Commands, Context } from "../context.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";
import { facts, table } from "../table.ts";
import { asTool, parameterUsage, type ToolDocument } from "../tool-document.ts";
import { byteSize } from "../words.ts";
import { runTool } from "./tool-run.ts";

export function addTool(commands: Commands): void {
  const tool = commands.program
    .command("tool")
    .description("programs that the gatehouse runs on its machine for who may run them");
  const add = (usage: string, description: string) =>
    withRemoteOption(tool.command(usage).description(description));
  commands.bind(add("ls", "list the tools that you may use"), list);
  commands.bind(add("show <name>", "say what a tool does and takes"), show);
  commands.bind(
    add("run <name>", "run a tool; its output and its exit code become this command's")
      .option("--arg <name=value>", "an argument, again for more", gathered)
      .option("--reason <text>", "what it is for, for whoever is asked to approve it")
      .option("--wait <duration>", "how long to wait for somebody's yes", "5m")
      .option("--no-wait", "where somebody's yes is needed, ask for it and end with 10")
      .option("--approval <id>", "the yes that was given to exactly this call"),
    runTool,
  );
}

async function list(context: Context, _args: readonly string[], options: RemoteOption): Promise<undefined> {
  const { tools } = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Tools.List, {}, call),
  );
  const { output } = context;
  const found = tools.map(asTool);
  if (found.length === 0 && !output.isJson) {
    output.note("there is no tool that you may use");
    return;
  }
  output.result({ tools: found }, () =>
    table(
      ["name", "takes", "approval", "groups", "description"],
      found.map(({ name, parameters, needsApproval, groups, description }) => [
        ...[name, parameters.map(parameterUsage).join(" "), needsApproval ? "always" : "by policy"],
        ...[groups.join(", "), description],
      ]),
      output.style,
    ),
  );
}

async function show(
  context: Context,
  [name = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const tool = asTool(
    await withSession(context, options, ({ client, methods, options: call }) =>
      client.call(methods.Tools.Show, { name }, call),
    ),
  );
  const { output } = context;
  output.result(tool, () => describe(context, tool));
}

function describe({ output, commandLine }: Context, tool: ToolDocument): string {
  const { name, description, parameters, needsApproval, groups, timeoutMs, outputBytesMax, runsAs } = tool;
  const usage = parameters
    .filter(({ isRequired }) => isRequired)
    .map((parameter) => `--arg ${parameterUsage(parameter)}`)
    .join(" ");
  return [
    facts(
      [
        ["tool", name],
        ["does", description],
        ["groups", groups.join(", ") || "none"],
        ["approval", needsApproval ? "each call waits for somebody's yes" : "where a policy asks for it"],
        ["runs as", runsAs],
        ["ends after", `${timeoutMs / 1_000} s, or ${byteSize(outputBytesMax)} of output`],
      ],
      output.style,
    ),
    ...(parameters.length === 0 ? [] : ["", parameterTable(tool, output)]),
    "",
    `Run it with: ${commandLine(`tool run ${name} ${usage}`.trimEnd())}`,
  ].join("\n");
}

function parameterTable({ parameters }: ToolDocument, { style }: Context["output"]): string {
  return table(
    ["parameter", "type", "default", "what"],
    parameters.map(({ name, type, isRequired, default: fallback, choices, pattern, description }) => [
      name,
      type === "choice" ? choices.join(" | ") : [type, pattern].filter((text) => text !== "").join(" "),
      isRequired ? "required" : fallback,
      description,
    ]),
    style,
  );
}
