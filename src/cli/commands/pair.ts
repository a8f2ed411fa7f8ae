import { type Config, parseDuration } from "../../config/index.ts";
import { GatehouseError, isGatehouseError, LIMITS } from "../../core/index.ts";
import { ApprovalWait } from "../approval-wait.ts";
import type { Commands, Context } from "../context.ts";
import { askLine, canAsk, readLine } from "../input.ts";
import { asJoiner } from "../joiner.ts";
import { JoinerQuestions } from "../joiner-questions.ts";
import type { OpenWindow } from "../pairing-card.ts";
import { type PairedDevice, type PairingEvent, watchPairing } from "../pairing-watch.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { relativeDate } from "../words.ts";

/** What the last answer of a window may take to arrive after the window has closed. */
const ANSWER_MS = 10_000;
/** A `pair open` that was killed is missed after so long, and its window closes. */
const PRESENCE_MS = 3_000;

export function addPair({ program, bind }: Commands): void {
  const pair = program.command("pair").description("let a new device in, or join a gatehouse");
  bind(
    withRemoteOption(pair.command("open"))
      .description("open the door to one new device and wait for it")
      .option("--role <role>", "the role it gets", "member")
      .option("--ttl <duration>", "how long the code is good, 10m at most", "120s")
      .option("--uri-only", "no code, only the URI and its QR: nobody can guess or burn it")
      .option("--force", "with a code although too many wrong ones were tried lately")
      .option("--require-approval", "whoever proves the code waits until somebody here says yes")
      .option("--qr-png <file>", "write the QR code to an image, too, which only you can read"),
    open,
  );
  bind(
    pair
      .command("join <target>")
      .description("pair this install with a gatehouse: HOST:PORT and its code, or its gatehouse:// URI")
      .option("--code <code>", "the six digits; - reads them from standard input")
      .option("--name <name>", "what the gatehouse shall call this device; the host's name by default")
      .option(
        "--replace",
        "take the place of the device of that name: somebody approves, and that one is revoked",
      ),
    join,
  );
}

interface OpenOptions extends RemoteOption {
  readonly role: string;
  readonly ttl: string;
  readonly uriOnly?: boolean;
  readonly force?: boolean;
  readonly requireApproval?: boolean;
  readonly qrPng?: string;
}

async function open(context: Context, _args: readonly string[], options: OpenOptions): Promise<undefined> {
  const ttlMs = parseDuration(options.ttl);
  if (ttlMs > LIMITS.pairingTtlMaxMs) {
    throw new GatehouseError("usage.bad-argument", "a pairing window is open for 10 minutes at most", {
      hint: "open a new one when this one has closed",
    });
  }
  const { role, uriOnly = false, force = false, requireApproval = false, qrPng } = options;
  const request = { role, ttlMs, uriOnly, force, requireApproval };
  await withSession({ ...context, idleMs: PRESENCE_MS }, options, async (session) => {
    await using questions = new JoinerQuestions({
      context,
      decide: (device, approve) => decide(session, device, approve),
    });
    const { signal } = session.options;
    const events = pairingEvents(session, request, AbortSignal.any([signal, questions.givenUp]));
    const operator = canAsk(context) ? questions : undefined;
    try {
      await watchPairing(context, events, { openedEvent: "open", qrPng, operator });
    } catch (failure) {
      throw questions.givenUp.aborted ? questions.givenUp.reason : failure;
    }
  });
}

async function decide(
  { client, methods, options }: Session,
  device: string,
  approve: boolean,
): Promise<void> {
  await client.call(methods.Pairing.Decide, { device, approve }, options);
}

interface OpenRequest {
  readonly role: string;
  readonly ttlMs: number;
  readonly uriOnly: boolean;
  readonly force: boolean;
  readonly requireApproval: boolean;
}

/** The stream of the open call; leaving it early cancels the call, which closes the window. */
async function* pairingEvents(
  { client, methods }: Session,
  request: OpenRequest,
  signal: AbortSignal,
): AsyncIterable<PairingEvent> {
  // Somebody who came in the last second may be asked about for as long as a question lasts.
  const timeoutMs = Math.min(request.ttlMs + LIMITS.pairingApprovalMs + ANSWER_MS, LIMITS.callTimeoutMaxMs);
  try {
    for await (const event of client.stream(methods.Pairing.Open, request, { signal, timeoutMs })) {
      yield* asPairingEvent(event);
    }
  } catch (error) {
    // The longest window and the longest call are equally long: either may end first.
    if (!isGatehouseError(error, "rpc.deadline")) throw error;
    yield { kind: "expired" };
  }
}

/** One of these is set; none of them is an event that a newer gatehouse knows. */
interface WireEvent {
  readonly opened?: Nullable<OpenWindow> | null;
  readonly paired?: ({ readonly deviceId?: string | null } & Nullable<Omit<PairedDevice, "id">>) | null;
  readonly burnt?: object | null;
  readonly expired?: object | null;
  readonly asked?: Parameters<typeof asJoiner>[0] | null;
  readonly denied?: { readonly deviceId?: string | null } | null;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

function* asPairingEvent({
  opened,
  asked,
  denied,
  paired,
  burnt,
  expired,
}: WireEvent): Iterable<PairingEvent> {
  if (opened) {
    const { code, uri, expiresAt } = opened;
    yield { kind: "opened", code: code || undefined, uri: uri ?? "", expiresAt: expiresAt ?? 0 };
  }
  if (asked) yield { kind: "asked", joiner: asJoiner(asked) };
  if (denied) yield { kind: "denied", id: denied.deviceId ?? "" };
  if (paired) {
    const { deviceId, name, role } = paired;
    yield { kind: "paired", device: { id: deviceId ?? "", name: name ?? "", role: role ?? "" } };
  }
  if (burnt) yield { kind: "burnt" };
  if (expired) yield { kind: "expired" };
}

interface JoinOptions {
  readonly code?: string;
  readonly replace?: boolean;
}

async function join(
  context: Context,
  [given = ""]: readonly string[],
  options: JoinOptions,
): Promise<undefined> {
  const { config, io, output, signal } = context;
  const { replace = false } = options;
  // A URI holds a secret: it can come by standard input, where other users do not see it.
  const target = given === "-" ? await readLine(context) : given;
  const code = /^gatehouse:/i.test(target) ? undefined : await readCode(context, options.code);
  if (replace)
    output.note("asks for the place of the device of this name: somebody approves, and that one is revoked");
  const { joinGatehouse } = await loadClient();
  const { home, timeoutMs } = config;
  using wait = new ApprovalWait(context);
  const joined = await joinGatehouse({
    ...{ home, target, kind: "cli", platform: io.platform, signal, timeoutMs, replace },
    name: (id) => {
      wait.deviceId = id;
      return deviceName(config, id);
    },
    onPending: (pendingMs) => wait.show(pendingMs),
    ...(code === undefined ? {} : { code }),
  });
  const { gatehouse, device, certificate } = joined;
  output.done({ gatehouse, device, certificate }, () => {
    const role = `${printable(device.name)} is now its ${printable(device.role)}`;
    const renewal = relativeDate(certificate.expiresAt, Date.now());
    return [
      `${output.style.green("paired")} with ${printable(gatehouse.name)}; ${role}`,
      output.style.dim(`certificate expires ${renewal}`),
    ].join("\n");
  });
}

/** Apart from its caller: TypeScript 6.0 leaves `.ts` in a dynamic import beside a `using`. */
function loadClient() {
  return import("../../client/index.ts");
}

/** Two installs of one machine have one host name: what nobody chose is made unique by the device's id. */
function deviceName({ name, isNameGiven }: Config, id: string): string {
  return isNameGiven ? name : `${name}-${id.slice(0, 4)}`;
}

async function readCode(context: Context, given: string | undefined): Promise<string> {
  if (given === "-") return readLine(context);
  if (given !== undefined) return given;
  if (canAsk(context)) return askLine(context, "code: ");
  throw new GatehouseError("usage.bad-argument", "a pairing code is needed", {
    hint: "give --code with the six digits that the gatehouse shows, or --code - to read them from standard input",
  });
}
