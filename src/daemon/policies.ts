/** What decides: the policies in force, with what was asked of them lately. */
import {
  Authorizer,
  loadDefaultPolicies,
  loadDefaultSchema,
  PolicyStore,
  type RequestRecorder,
} from "../authz/index.ts";
import { GatehouseError, isGatehouseError, type Logger } from "../core/index.ts";
import type { Shelf } from "../vault/index.ts";

export interface Policies {
  readonly authorizer: Authorizer;
  readonly store: PolicyStore;
  /** Text of the Cedar schema. */
  readonly schema: string;
  readonly recorder: RequestRecorder;
}

/** @throws authz.invalid-policy when the set in force is none to this release: nothing is served under any other. */
export async function openPolicies(
  shelf: Shelf,
  { recorder, logger }: { readonly recorder: RequestRecorder; readonly logger: Logger },
): Promise<Policies> {
  const [schema, builtIn] = await Promise.all([loadDefaultSchema(), loadDefaultPolicies()]);
  const store = new PolicyStore(shelf, builtIn);
  try {
    const { sources } = store.set();
    return {
      authorizer: await Authorizer.open({ schema, policies: sources, logger }),
      store,
      schema,
      recorder,
    };
  } catch (cause) {
    if (!isGatehouseError(cause, "authz.invalid-policy")) throw cause;
    throw new GatehouseError("authz.invalid-policy", `set ${store.current} of policies: ${cause.message}`, {
      hint: "put another set in force: gatehouse policy rescue",
      cause,
    });
  }
}
