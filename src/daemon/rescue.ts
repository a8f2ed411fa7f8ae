/** Puts policies in force while no daemon runs: for whoever has the vault's key, and no right any more. */
import {
  Authorizer,
  loadDefaultPolicies,
  loadDefaultSchema,
  type PolicyChange,
  PolicyStore,
} from "../authz/index.ts";
import { Resources } from "../core/index.ts";
import { checkPrivate, homeLayout, lockHome } from "../files/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { ALL_POLICIES } from "../services/index.ts";
import { DEVICES_LOCK } from "../vault/index.ts";
import { type Effects, openStorage } from "./storage.ts";

export interface RescueOptions extends Effects {
  readonly home: string;
  /** Where key files lie; outside of the home. */
  readonly keyDir: string;
  readonly kek: KeyProvider;
  /** The set to go back to; 0: what the gatehouse comes with. */
  readonly set: number;
}

/**
 * Audited as the gatehouse's own doing.
 * @throws home.in-use, policy.not-found, authz.invalid-policy, and what opening the vault throws
 */
export async function rescuePolicies({
  home,
  keyDir,
  kek,
  set,
  ...effects
}: RescueOptions): Promise<PolicyChange> {
  const layout = homeLayout(home);
  await checkPrivate(layout.root);
  await using resources = new Resources();
  resources.use(await lockHome(layout.lockFile));
  const { vault, audit } = await openStorage(layout, { keyDir, kek, mode: "open" }, effects, resources);
  const [schema, builtIn] = await Promise.all([loadDefaultSchema(), loadDefaultPolicies()]);
  const store = new PolicyStore(vault.policies, builtIn);
  const { sources } = store.set(set);
  await Authorizer.open({ schema, policies: sources });
  return await vault.policies.transact<PolicyChange>(
    [DEVICES_LOCK],
    {
      audit: (change) =>
        audit.encodeEvent({
          ...{ action: "policy:write", resource: `policy:${ALL_POLICIES}`, outcome: "done" },
          detail: { change: "rescue", set: String(change.set), from: String(set) },
        }),
    },
    () => store.planRollback(set, { at: effects.clock.now(), by: "" }, "rescue"),
    () => [vault.devices.epochChange()],
  );
}
