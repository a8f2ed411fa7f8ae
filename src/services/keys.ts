import { GatehouseError } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { KeySlot, Mutation, RotationKind, RotationProgress } from "../vault/index.ts";
import type { Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import { Once } from "./once.ts";
import type { Peer } from "./peer.ts";

/** The vault's keys, for people. */
export interface KeysDesk {
  slots(): readonly KeySlot[];
  /** @throws vault.rotating, vault.read-only; as `Mutations.run` */
  rotate(kind: RotationKind, mutation: Mutation<RotationProgress>): Promise<RotationProgress>;
  watch(signal: AbortSignal): AsyncIterable<RotationProgress>;
  /** Answers whether there was one. */
  abort(): Promise<boolean>;
}

export function keysService(router: Router<Peer>, { guard, keys }: { guard: Guard; keys: KeysDesk }): void {
  router.handle(METHODS.Keys.List, () => ({
    slots: keys.slots().map(({ recipient = "", ...rest }) => ({ ...rest, recipient })),
  }));
  router.handle(METHODS.Keys.Rotate, (request, context) => {
    const kind = kindIn(request.kind);
    return mutate(METHODS.Keys.Rotate, {
      ...{ context, request, granted: guard.granted(context), detail: { kind } },
      reply: (progress: RotationProgress) => ({ ...progress }),
      change: (mutation) => keys.rotate(kind, mutation),
    });
  });
  router.handle(METHODS.Keys.Watch, (_request, { signal }) => keys.watch(signal));
  const once = new Once<boolean>();
  router.handle(METHODS.Keys.Abort, async (request, context) => ({
    isAborted: await once.run(METHODS.Keys.Abort, { context, request }, () => keys.abort()),
  }));
}

function kindIn(text: string): RotationKind {
  if (text === "kek" || text === "deks") return text;
  throw new GatehouseError("usage.bad-argument", "a rotation is of kek or deks");
}
