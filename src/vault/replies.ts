import { type Clock, equalBytes, GatehouseError, hex, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { pages } from "./pages.ts";
import type { VaultStore } from "./store.ts";
import type { Change, Transaction } from "./transaction.ts";

const { StoredReply } = gatehouse.v1;

/** Makes a mutation repeatable: the same request again gets the same reply and does nothing. */
export interface Replay<Result> {
  /** Who asks; printable ASCII without `/`, at most 256 characters. */
  readonly principal: string;
  /** 1 to 64 bytes, chosen by the caller once for a call and its retries. */
  readonly requestId: Uint8Array;
  /** Over method and request: tells a retry from another call under a used id. */
  readonly requestHash: Uint8Array;
  /** The encoded reply to give again. */
  readonly reply: (result: Result) => Uint8Array;
}

export interface RememberedReply {
  readonly requestHash: Uint8Array;
  readonly reply: Uint8Array;
}

/** Not a failure: the mutation was done before, and this was its reply. */
export class AlreadyAnswered extends Error {
  override readonly name = "AlreadyAnswered";
  readonly reply: Uint8Array;

  constructor(reply: Uint8Array) {
    super("the request was answered before");
    this.reply = reply;
  }
}

/**
 * Replies of mutations, committed with them: at most `LIMITS.rememberedReplies` a principal, for
 * `LIMITS.rememberedRepliesMs`.
 */
export class RememberedReplies {
  readonly #store: VaultStore;
  readonly #clock: Clock;
  /** Key to time of making, oldest first, by principal. */
  readonly #kept = new Map<string, Map<string, number>>();
  readonly #pending = new Map<string, number>();

  constructor(store: VaultStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    const all = [...pages(store, "reply")].sort((a, b) => a.revision - b.revision);
    for (const { key, body } of all) this.#keep(key, body);
    store.subscribe((transaction) => this.#follow(transaction));
  }

  /** The reply given before, if it is still remembered. */
  lookup(principal: string, requestId: Uint8Array): RememberedReply | undefined {
    const record = this.#store.get("reply", keyOf(principal, requestId));
    if (record === undefined) return undefined;
    const { requestHash, reply, createdAt } = StoredReply.decode(record.body);
    return this.#isExpired(createdAt) ? undefined : { requestHash, reply };
  }

  /** What to queue on, so that a request and its retry do not run side by side. */
  keyOf({ principal, requestId }: Pick<Replay<never>, "principal" | "requestId">): string {
    return `reply ${keyOf(principal, requestId)}`;
  }

  /** Counts a reply that is on its way, until disposed of. */
  reserve(principal: string): Disposable {
    this.#pending.set(principal, (this.#pending.get(principal) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const left = (this.#pending.get(principal) ?? 1) - 1;
        if (left === 0) this.#pending.delete(principal);
        else this.#pending.set(principal, left);
      },
    };
  }

  /** @throws AlreadyAnswered. @throws GatehouseError `rpc.request-mismatch`. */
  checkNew({ principal, requestId, requestHash }: Omit<Replay<never>, "reply">): void {
    const before = this.lookup(principal, requestId);
    if (before === undefined) return;
    if (equalBytes(before.requestHash, requestHash)) throw new AlreadyAnswered(before.reply);
    throw new GatehouseError("rpc.request-mismatch", "this request id was used for another request", {
      hint: "choose a new request id for each call",
    });
  }

  /** Keeps the reply, and lets go of what it displaces. */
  changesFor<Result>(replay: Replay<Result>, result: Result): readonly Change[] {
    const { principal, requestId, requestHash } = replay;
    const body = StoredReply.encode({
      ...{ requestHash, reply: replay.reply(result), createdAt: this.#clock.now() },
    }).finish();
    const displaced = this.#displacedBy(principal).map(
      (key): Change => ({ kind: "delete", space: "reply", key }),
    );
    return [...displaced, { kind: "put", space: "reply", key: keyOf(principal, requestId), body }];
  }

  /** Two of them side by side may name the same ones, but never too few. */
  #displacedBy(principal: string): readonly string[] {
    const kept = this.#kept.get(principal) ?? new Map<string, number>();
    const surplus = kept.size + (this.#pending.get(principal) ?? 0) - LIMITS.rememberedReplies;
    const displaced: string[] = [];
    for (const [key, createdAt] of kept) {
      if (displaced.length >= surplus && !this.#isExpired(createdAt)) break;
      displaced.push(key);
    }
    return displaced;
  }

  #isExpired(createdAt: number): boolean {
    return createdAt + LIMITS.rememberedRepliesMs <= this.#clock.now();
  }

  #follow({ changes }: Transaction): void {
    for (const change of changes) {
      if (change.space !== "reply") continue;
      this.#kept.get(principalOf(change.key))?.delete(change.key);
      if (change.kind === "put") this.#keep(change.key, change.body);
    }
  }

  #keep(key: string, body: Uint8Array): void {
    const principal = principalOf(key);
    const kept = this.#kept.get(principal) ?? new Map<string, number>();
    this.#kept.set(principal, kept);
    kept.set(key, StoredReply.decode(body).createdAt);
  }
}

function principalOf(key: string): string {
  return key.slice(0, key.lastIndexOf("/"));
}

/** @throws RangeError on a principal or request id that is not as `Replay` says. */
function keyOf(principal: string, requestId: Uint8Array): string {
  if (!/^[\x21-\x2e\x30-\x7e]{1,256}$/.test(principal)) throw new RangeError("replay: malformed principal");
  if (requestId.length < 1 || requestId.length > 64) {
    throw new RangeError(`replay: request id of ${requestId.length} bytes, not 1 to 64`);
  }
  return `${principal}/${hex(requestId)}`;
}
