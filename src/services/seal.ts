/** Sealing, and all that a sealed gatehouse answers. */
import { type Clock, GatehouseError, type Logger } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import { Router } from "../rpc/index.ts";
import { grpcHealthService } from "./grpc-health.ts";
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
  router.handle(METHODS.Seal.Unseal, (key) => {
    wipe(key);
    return { state: desk.state().kind };
  });
}

/** What somebody typed; both empty where the daemon can ask for the key by itself. */
export interface UnsealKey {
  readonly passphrase: Uint8Array;
  /** As text, as it was shown. */
  readonly recoveryKey: Uint8Array;
}

export interface SealedParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly facts: SealedFacts;
  /**
   * Opens the vault and what stands behind it; answers the new state. The key is lent, and wiped after.
   * @throws vault.wrong-key, vault.key-missing, vault.unseal-limited, and others of opening
   */
  readonly unseal: (key: UnsealKey, caller: Peer) => Promise<{ readonly state: string }>;
}

/**
 * Answers how it is, and one method more; of all others it says that the vault is sealed. Whoever gets here has been pinned:
 * no policy is asked.
 */
export function createSealedRouter({ clock, logger, facts, unseal }: SealedParts): Router<Peer> {
  const router = new Router<Peer>({ clock, log: logger, unknownMethod: sealed });
  pingService(router);
  sealedHealthService(router, facts, clock);
  grpcHealthService(router, "not-serving");
  router.handle(METHODS.Seal.Unseal, async (key, { peer }) => {
    try {
      return await unseal(key, peer);
    } finally {
      wipe(key);
    }
  });
  return router;
}

function wipe({ passphrase, recoveryKey }: UnsealKey): void {
  passphrase.fill(0);
  recoveryKey.fill(0);
}

function sealed(): GatehouseError<"vault.sealed"> {
  return new GatehouseError("vault.sealed", "the vault is sealed", {
    hint: "open it with: gatehouse unseal",
  });
}
