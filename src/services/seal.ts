/** Sealing, and all that a sealed gatehouse answers. */
import { type Clock, GatehouseError, type Logger } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import { Router } from "../rpc/index.ts";
import { pingService, type SealedFacts, sealedHealthService } from "./health.ts";
import type { Peer } from "./peer.ts";

/** How an open gatehouse is sealed. */
export interface SealDesk {
  /** Begins to seal it, and does not wait; once asked, again is nothing new. */
  begin(): void;
  readonly state: () => { readonly kind: string };
}

/** Of an open gatehouse. */
export function sealService(router: Router<Peer>, desk: SealDesk): void {
  router.handle(METHODS.Seal.Seal, (_request, context) => {
    // Not before the audit log has it: the answer waits for that, and a failure of it is a failure of the call.
    context.onEnd((failure) => {
      if (failure === undefined) desk.begin();
    });
    return {};
  });
  router.handle(METHODS.Seal.Unseal, ({ passphrase }) => {
    passphrase.fill(0);
    return { state: desk.state().kind };
  });
}

export interface SealedParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly facts: SealedFacts;
  /**
   * Opens the vault and what stands behind it; answers the new state. The passphrase is lent, and wiped after.
   * @throws vault.wrong-key, vault.key-missing, vault.unseal-limited, and others of opening
   */
  readonly unseal: (passphrase: Uint8Array, caller: Peer) => Promise<{ readonly state: string }>;
}

/** Answers three methods; of all others it says that the vault is sealed. Whoever gets here has been pinned: no policy is asked. */
export function createSealedRouter({ clock, logger, facts, unseal }: SealedParts): Router<Peer> {
  const router = new Router<Peer>({ clock, log: logger, unknownMethod: sealed });
  pingService(router);
  sealedHealthService(router, facts, clock);
  router.handle(METHODS.Seal.Unseal, async ({ passphrase }, { peer }) => {
    try {
      return await unseal(passphrase, peer);
    } finally {
      passphrase.fill(0);
    }
  });
  return router;
}

function sealed(): GatehouseError<"vault.sealed"> {
  return new GatehouseError("vault.sealed", "the vault is sealed", {
    hint: "open it with: gatehouse unseal",
  });
}
