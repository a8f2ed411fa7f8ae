import { GatehouseError } from "../core/index.ts";
import type { Admission, ServerHandshake, ServerTls } from "../quic/index.ts";

/** What stands behind the front door, open or sealed: the sockets stay when one takes the place of the other. */
export interface Side {
  readonly serverTls: ServerTls;
  readonly isReadmitting: boolean;
  admit(handshake: ServerHandshake): Admission;
}

/** Between two sides, and before the first: whoever comes is to come again. */
export function between({ serverTls }: Pick<Side, "serverTls">): Side {
  return {
    serverTls,
    isReadmitting: false,
    admit: () => ({
      kind: "refused",
      cause: "going-away",
      error: new GatehouseError("rpc.draining", "the gatehouse is being sealed or unsealed"),
    }),
  };
}
