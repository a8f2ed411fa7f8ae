import { equalBytes, GatehouseError, hex } from "../core/index.ts";
import type { CallContext } from "../rpc/index.ts";
import { requestHashOf } from "./mutate.ts";
import type { Peer } from "./peer.ts";

/** People make such calls by hand: more are not under way, or being repeated, at a time. */
const REMEMBERED_MAX = 64;

interface Remembered<Answer> {
  readonly requestHash: Uint8Array;
  readonly answer: Promise<Answer>;
}

/**
 * What is changed outside of the vault is done once as well: a request that comes again under its id, its answer lost on the
 * way, gets the same answer, or waits for it. In memory: after a restart it is done anew, or refused for what was done.
 */
export class Once<Answer = void> {
  readonly #remembered = new Map<string, Remembered<Answer>>();

  /** @throws rpc.request-mismatch when another request had this id; what `change` throws */
  run<RequestFields>(
    method: Parameters<typeof requestHashOf<RequestFields>>[0],
    { context, request }: { readonly context: CallContext<Peer>; readonly request: RequestFields },
    change: () => Promise<Answer>,
  ): Promise<Answer> {
    const { requestId, peer } = context;
    if (requestId === undefined) return change();
    const key = `${peer.deviceId}/${hex(requestId)}`;
    const requestHash = requestHashOf(method, request);
    const before = this.#remembered.get(key);
    if (before === undefined) {
      const answer = change();
      this.#keep(key, { requestHash, answer });
      return answer;
    }
    if (!equalBytes(before.requestHash, requestHash)) {
      throw new GatehouseError("rpc.request-mismatch", "another request was made under this id");
    }
    return before.answer;
  }

  #keep(key: string, remembered: Remembered<Answer>): void {
    this.#remembered.set(key, remembered);
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= REMEMBERED_MAX) break;
      this.#remembered.delete(oldest);
    }
  }
}
