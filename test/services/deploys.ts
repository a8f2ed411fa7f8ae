import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isGatehouseError } from "../../src/core/index.ts";
import { type gatehouse, METHODS } from "../../src/gen/index.ts";
import type { CallOptions } from "../../src/rpc/index.ts";
import { type Changes, type Restart, World } from "./support.ts";

type RunRequest = gatehouse.v1.ToolsRunRequest.$Properties;
type RunEvent = gatehouse.v1.ToolsRunEvent;
type Approval = gatehouse.v1.ApprovalRecord;
type Question = Pick<Approval, "id" | "argumentsHash">;

/** Members run `deploy` with a yes of the role `release`; owners may decide too, but that yes is not enough. */
export const POLICY = `
@id("run")
permit (principal in Role::"member", action == Action::"tool:run", resource in ToolGroup::"releases")
when { context has approval && context.approval.decidedBy in Role::"release" };
@id("see")
permit (principal in Role::"member", action == Action::"tool:list", resource);
@id("decide")
permit (principal in Role::"release", action in [Action::"approval:list", Action::"approval:decide"], resource is Tool);
@id("free")
permit (principal in Role::"member", action == Action::"tool:run", resource == Tool::"free");
`;

/** As long as a call may take. */
const LONG_MS = 600_000;

/** They leave a line of what they were given each time that they run. */
function toolsOf(file: string) {
  const record = (...args: readonly string[]) => [
    ...["/bin/sh", "-c", `IFS="|"; printf '%s\\n' "$*" >> ${file}`, "sh"],
    ...args,
  ];
  const ref = { type: "string", default: "main", max_length: 64 };
  return {
    deploy: {
      command: record("{environment}", "{ref}", "/srv/{release}", "{replicas}", "{dry}"),
      groups: ["releases"],
      allow_same_user: true,
      concurrency: 4,
      parameters: {
        environment: { type: "choice", choices: ["staging", "production"] },
        ...{ ref, release: { ...ref, default: "next" } },
        replicas: { type: "integer", min: 1, max: 9, default: 1 },
        dry: { type: "boolean", default: false },
      },
    },
    free: {
      command: record("free", "{ref}"),
      ...{ allow_same_user: true, concurrency: 4, parameters: { ref } },
    },
    /** Runs until its caller leaves. */
    held: {
      command: ["/bin/sh", "-c", `echo held >> ${file}; exec sleep 60`],
      ...{ allow_same_user: true, groups: ["releases"] },
    },
    secretive: {
      command: record("secretive"),
      ...{ allow_same_user: true, approval: true, secrets: { TOKEN: "shared/token" } },
    },
  };
}

/** What a run of `deploy` with this environment leaves. */
export const lineOf = (environment: string): string => `${environment}|main|/srv/next|1|false`;

/** A gatehouse whose tools say that they ran. `laptop` is a member with the role `release`. */
export class Deploys implements AsyncDisposable {
  world: World;
  readonly #dir: string;

  private constructor(world: World, dir: string) {
    this.world = world;
    this.#dir = dir;
  }

  static async open(changes: Changes = () => ({})): Promise<Deploys> {
    const dir = await mkdtemp(join(tmpdir(), "gatehouse-deploys-"));
    const world = await World.open(changes, toolsOf(join(dir, "runs")));
    await world.call("owner", METHODS.Policy.Put, { id: "deploys", text: POLICY });
    await world.call("owner", METHODS.Device.Grant, { device: "laptop", role: "release" });
    return new Deploys(world, dir);
  }

  /** What each run was given, oldest first. */
  runs(): readonly string[] {
    const file = join(this.#dir, "runs");
    return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n") : [];
  }

  /** `deploy` to production, unless told otherwise. */
  stream(name: string, request: RunRequest = {}, options: CallOptions = {}) {
    const call = { name: "deploy", arguments: { environment: "production" }, ...request };
    return this.world.stream(name, METHODS.Tools.Run, call, { timeoutMs: LONG_MS, ...options });
  }

  /** How a run ended: such as `exited 0`, or the code of its failure. */
  async run(name: string, request: RunRequest = {}, options: CallOptions = {}): Promise<string> {
    return await endingOf(this.stream(name, request, options));
  }

  /** Asks for a yes, and does not wait for it. */
  async ask(name = "phone", request: RunRequest = {}): Promise<Approval> {
    const { asked, ending } = await this.wait(name, { ...request, waitMs: 0 });
    const code = await ending;
    if (code !== "approval.required") throw new Error(`asked in vain: ${code}`);
    return asked;
  }

  /** Asks for a yes and waits for it; `ending` is as of `run`. */
  async wait(name = "phone", request: RunRequest = {}, options: CallOptions = {}) {
    const stream = this.stream(name, { waitMs: LONG_MS, ...request }, options);
    const first = await stream.next();
    const asked = first.done === true ? undefined : first.value.waiting;
    if (asked === undefined || asked === null) throw new Error("nobody was asked");
    return { asked: asked as Approval, ending: endingOf(stream) };
  }

  /** The answer's state, or the code of its failure. */
  async decide(name: string, { id, argumentsHash }: Question, approve = true): Promise<string> {
    const request = { id, approve, argumentsHash: approve ? argumentsHash : "" };
    return await codeOr(async () => (await this.world.call(name, METHODS.Approvals.Decide, request)).state);
  }

  async stateOf({ id }: Pick<Question, "id">): Promise<string> {
    return (await this.world.call("owner", METHODS.Approvals.Show, { id })).state;
  }

  async restart(how: Restart = {}): Promise<void> {
    this.world = await this.world.restart(how);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

export async function codeOr(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (failure) {
    if (isGatehouseError(failure)) return failure.code;
    throw failure;
  }
}

async function endingOf(stream: AsyncIterable<RunEvent>): Promise<string> {
  return await codeOr(async () => {
    let ending = "nothing";
    for await (const { ended } of stream) {
      if (ended) ending = `${ended.reason} ${ended.signal || ended.exitCode}`;
    }
    return ending;
  });
}
