import { GatehouseError, systemClock } from "../core/index.ts";
import type { Context } from "./context.ts";
import { type OpenWindow, pairingCard, showCountdown } from "./pairing-card.ts";
import { printable } from "./style.ts";

export type PairingEvent =
  | ({ readonly kind: "opened" } & OpenWindow)
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

export interface PairedDevice {
  readonly id: string;
  readonly name: string;
  readonly role: string;
}

/**
 * Shows a pairing window from its opening to its end.
 *
 * @param openedEvent what scripts see the opening called.
 * @throws GatehouseError `pairing.code-burnt`, `pairing.expired`.
 */
export async function watchPairing(
  context: Context,
  events: AsyncIterable<PairingEvent>,
  openedEvent: "open" | "pairing-open",
): Promise<PairedDevice> {
  let waiting: Disposable | undefined;
  try {
    for await (const event of events) {
      switch (event.kind) {
        case "opened":
          await showOpened(context, event, openedEvent);
          waiting = showCountdown(context.output, systemClock, event.expiresAt);
          break;
        case "paired":
          showPaired(context, event.device);
          return event.device;
        case "burnt":
          throw new GatehouseError("pairing.code-burnt", "somebody tried a wrong code, so this one is dead", {
            hint: "open a new window and compare the code; if it was not you, find out who was",
          });
        case "expired":
          throw expired();
      }
    }
    throw expired();
  } finally {
    waiting?.[Symbol.dispose]();
  }
}

function expired(): GatehouseError {
  return new GatehouseError("pairing.expired", "the pairing window closed and nobody came", {
    hint: "open another when the other device is at hand, or give it longer with --ttl",
  });
}

async function showOpened({ io, output }: Context, window: OpenWindow, openedEvent: string): Promise<void> {
  const { code, uri, expiresAt } = window;
  const card = await pairingCard({
    ...{ window, nowMs: systemClock.now(), address: new URL(uri).host },
    ...{ invocation: io.invocation, style: output.style },
  });
  output.result({ event: openedEvent, code, uri, expiresAt }, () => `${card}\n`);
}

function showPaired({ output }: Context, { id, name, role }: PairedDevice): void {
  output.result({ event: "paired", device: { id, name, role } }, () => {
    return `${output.style.green("paired")} ${printable(name)} as ${printable(role)} (${id.slice(0, 8)}…)`;
  });
}
