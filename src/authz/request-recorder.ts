import { equalBytes } from "../core/index.ts";
import type { Decision } from "./decision.ts";
import { decodeRows, encodeRows, type RecordedRow } from "./recorded-codec.ts";
import { plainRequest, type RecordedRequest } from "./recorded-request.ts";
import type { AuthorizationRequest } from "./request.ts";
import { timelessKey } from "./request-key.ts";

/** Some weeks of what a few hundred devices do; a change of policies is tried on all of them in about a second. */
const REQUESTS_MAX = 4_096;
/** All requests in JSON: five hundred characters each, of which most need three. Arguments of tools may be longer. */
const CHARACTERS_MAX = 2_097_152;
/** Longer ones are left out: one call must not push out what hundreds did. */
const REQUEST_CHARACTERS_MAX = 65_536;
const POLICIES_MAX = 16;

interface Entry {
  /** With the time when it came first. */
  readonly request: AuthorizationRequest;
  /** The request in JSON. */
  readonly text: string;
  lastMs: number;
  count: number;
  decision: RecordedRequest["decision"];
  /** Counts on with every call: the least was not seen for longest. */
  turn: number;
}

/**
 * Requests that came, each once with its count: distinct by everything but time. Bounded; those not seen for longest go
 * first. They hold names, addresses and arguments: what is encoded is to be kept as secret as the vault.
 */
export class RequestRecorder {
  readonly #entries = new Map<string, Entry>();
  #characters = 0;
  #turn = 0;

  /** What `encode` wrote; `undefined` for any other bytes, to the last one. Borrows them. */
  static decode(bytes: Uint8Array): RequestRecorder | undefined {
    const rows = decodeRows(bytes);
    if (rows === undefined) return undefined;
    const recorder = new RequestRecorder();
    for (const row of rows) recorder.#add(timelessKey(row.request), row);
    return equalBytes(recorder.encode(), bytes) ? recorder : undefined;
  }

  /** For every decision that is made: about a microsecond for a request that is known. */
  note(request: AuthorizationRequest, { kind, policies }: Decision): void {
    const { timeMs } = request.context;
    if (!Number.isSafeInteger(timeMs) || timeMs < 0) return;
    const key = timelessKey(request);
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#add(key, { request, lastMs: timeMs, count: 1, decision: { kind, policies } });
      return;
    }
    // Not moved to the end of the map: that would double what this costs.
    known.turn = this.#nextTurn();
    known.count += 1;
    known.lastMs = timeMs;
    if (known.decision.policies !== policies || known.decision.kind !== kind)
      known.decision = { kind, policies };
  }

  /** Grows with each request that comes. */
  get turns(): number {
    return this.#turn;
  }

  /** Those not seen for longest first. */
  recorded(): readonly RecordedRequest[] {
    return this.#inTurn().map(({ request, lastMs, count, decision }) => ({
      request: { ...request, context: { ...request.context, timeMs: lastMs } },
      count,
      firstMs: request.context.timeMs,
      decision,
    }));
  }

  /** Less than 16 MiB; some milliseconds for as many requests as fit. */
  encode(): Uint8Array {
    return encodeRows(this.#inTurn());
  }

  #inTurn(): readonly Entry[] {
    return [...this.#entries.values()]
      .sort((a, b) => a.turn - b.turn)
      .map((entry) => ({ ...entry, decision: shortened(entry.decision) }));
  }

  #add(key: string, { request, lastMs, count, decision }: RecordedRow): void {
    const plain = plainRequest(request);
    const text = JSON.stringify(plain);
    if (text.length > REQUEST_CHARACTERS_MAX) return;
    this.#entries.set(key, { request: plain, text, lastMs, count, decision, turn: this.#nextTurn() });
    this.#characters += text.length;
    while (this.#entries.size > REQUESTS_MAX || this.#characters > CHARACTERS_MAX) this.#forgetOldest();
  }

  /** Looks at all of them, some ten microseconds: a request that was never seen has cost ten times that to decide. */
  #forgetOldest(): void {
    const [first] = this.#entries;
    if (first === undefined) return;
    let [oldest, entry] = first;
    for (const [key, other] of this.#entries) if (other.turn < entry.turn) [oldest, entry] = [key, other];
    this.#entries.delete(oldest);
    this.#characters -= entry.text.length;
  }

  #nextTurn(): number {
    this.#turn += 1;
    return this.#turn;
  }
}

function shortened({ kind, policies }: RecordedRequest["decision"]): RecordedRequest["decision"] {
  return { kind, policies: policies.slice(0, POLICIES_MAX) };
}
