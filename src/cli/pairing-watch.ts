import { GatehouseError, systemClock } from "../core/index.ts";
import type { Context } from "./context.ts";
import { shortId } from "./device-document.ts";
import { describeJoiner, type Joiner } from "./joiner.ts";
import { type OpenWindow, pairingCard, showCountdown } from "./pairing-card.ts";
import { writePairingPng } from "./pairing-png.ts";
import { printable } from "./style.ts";

export type PairingEvent =
  | ({ readonly kind: "opened" } & OpenWindow)
  | { readonly kind: "asked"; readonly joiner: Joiner }
  | { readonly kind: "denied"; readonly id: string }
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

export interface PairedDevice {
  readonly id: string;
  readonly name: string;
  readonly role: string;
}

/** Who is told of joiners that wait, and that they need not be asked about any more. */
export interface Operator {
  ask(joiner: Joiner): void;
  settle(id: string): void;
}

export interface PairingWatch {
  /** What scripts see the opening called. */
  readonly openedEvent: "open" | "pairing-open";
  /** Where the QR code goes as an image, too. */
  readonly qrPng?: string | undefined;
  /** Asks the person here; without one, the command to type elsewhere is printed. */
  readonly operator?: Operator | undefined;
}

/**
 * Shows a pairing window from its opening to its end.
 *
 * @throws GatehouseError `pairing.code-burnt`, `pairing.expired`, `pairing.denied`, `file.exists`.
 */
export async function watchPairing(
  context: Context,
  events: AsyncIterable<PairingEvent>,
  watch: PairingWatch,
): Promise<PairedDevice> {
  let waiting: Disposable | undefined;
  let refused: string | undefined;
  try {
    for await (const event of events) {
      switch (event.kind) {
        case "opened":
          await showOpened(context, event, watch);
          waiting = countWindow(context, event.expiresAt);
          break;
        case "asked":
          if (watch.operator === undefined || context.output.isJson) showAsked(context, event.joiner);
          watch.operator?.ask(event.joiner);
          break;
        case "denied":
          refused = event.id;
          watch.operator?.settle(event.id);
          if (context.output.isJson)
            context.output.result({ event: "denied", device: { id: event.id } }, () => "");
          break;
        case "paired":
          watch.operator?.settle(event.device.id);
          showPaired(context, event.device);
          return event.device;
        case "burnt":
          throw burnt(context);
        case "expired":
          throw refused === undefined ? expired() : denied(refused);
      }
    }
    throw refused === undefined ? expired() : denied(refused);
  } finally {
    waiting?.[Symbol.dispose]();
  }
}

function countWindow({ output }: Context, expiresAt: number): Disposable {
  const words = "waiting for a device … the window closes in";
  return showCountdown(output, { clock: systemClock, expiresAt, words });
}

/** Somebody who can reach this door has guessed, or has watched and mistyped: a person should hear of it. */
function burnt({ output }: Context): GatehouseError {
  output.alert("ALERT: somebody at the door tried a wrong code");
  return new GatehouseError(
    "pairing.code-burnt",
    "somebody guessed at the code, so it is dead and let nobody in",
    {
      hint:
        "if it was you, mistyping, open a new window; if it was not, somebody who reaches this door is guessing: " +
        "pair with --uri-only, which nobody can guess or burn, and see `gatehouse status`",
    },
  );
}

function expired(): GatehouseError {
  return new GatehouseError("pairing.expired", "the pairing window closed and nobody came", {
    hint: "open another when the other device is at hand, or give it longer with --ttl",
  });
}

function denied(id: string): GatehouseError {
  return new GatehouseError("pairing.denied", `${shortId(id)}… was refused, and the window is closed`, {
    hint: "it knew the code, which is good for nobody any more; open a new window for another device",
  });
}

async function showOpened(context: Context, window: OpenWindow, watch: PairingWatch): Promise<void> {
  const { io, output } = context;
  const { code, uri, expiresAt } = window;
  const { openedEvent, qrPng } = watch;
  if (qrPng !== undefined) await writePairingPng(qrPng, uri);
  const card = await pairingCard({
    ...{ window, nowMs: systemClock.now(), address: new URL(uri).host },
    ...{ invocation: io.invocation, style: output.style },
  });
  output.result({ event: openedEvent, code, uri, expiresAt, qrPng }, () => `${card}\n`);
  if (qrPng !== undefined) output.note(`the QR code is in ${printable(qrPng)}; whoever has it can pair`);
}

function showAsked({ output, commandLine }: Context, joiner: Joiner): void {
  const command = commandLine(`device approve ${shortId(joiner.id)}`);
  output.result({ event: "asked", joiner, approve: command }, () => {
    const about = describeJoiner(joiner, { nowMs: systemClock.now(), style: output.style });
    return `\nSomebody has proven the code and waits:\n${about}\nTo let it in, type (or with --deny, to refuse it):\n    ${command}\n`;
  });
}

function showPaired({ output }: Context, { id, name, role }: PairedDevice): void {
  output.result({ event: "paired", device: { id, name, role } }, () => {
    return `${output.style.green("paired")} ${printable(name)} as ${printable(role)} (${shortId(id)}…)`;
  });
}
