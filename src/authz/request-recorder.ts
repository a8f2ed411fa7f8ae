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

interface Share {
  entries: number;
  characters: number;
}

/**
 * Requests that came, each once with its count: distinct by everything but time. Bounded; of the device that takes most
 * of the room, those not seen for longest go first, so that none pushes out what others asked. They hold names, addresses and arguments: what is encoded is to be kept as secret as the vault.
 */
export class RequestRecorder {
  readonly #entries = new Map<string, Entry>();
  readonly #shares = new Map<string, Share>();
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
    this.#account(plain, { entries: 1, characters: text.length });
    while (this.#entries.size > REQUESTS_MAX || this.#characters > CHARACTERS_MAX) this.#forgetOne();
  }

  #account({ principal: { deviceId } }: AuthorizationRequest, { entries, characters }: Share): void {
    const share = this.#shares.get(deviceId) ?? { entries: 0, characters: 0 };
    share.entries += entries;
    share.characters += characters;
    this.#characters += characters;
    if (share.entries === 0) this.#shares.delete(deviceId);
    else this.#shares.set(deviceId, share);
  }

  /** Looks at all of them, some ten microseconds: a request that was never seen has cost ten times that to decide. */
  #forgetOne(): void {
    const room = ({ entries, characters }: Share): number =>
      Math.max(entries / REQUESTS_MAX, characters / CHARACTERS_MAX);
    let [largest, most] = ["", -1];
    for (const [deviceId, share] of this.#shares) {
      if (room(share) > most) [largest, most] = [deviceId, room(share)];
    }
    let found: readonly [string, Entry] | undefined;
    for (const [key, entry] of this.#entries) {
      if (entry.request.principal.deviceId !== largest) continue;
      if (found === undefined || entry.turn < found[1].turn) found = [key, entry];
    }
    if (found === undefined) return;
    const [key, { request, text }] = found;
    this.#entries.delete(key);
    this.#account(request, { entries: -1, characters: -text.length });
  }

  #nextTurn(): number {
    this.#turn += 1;
    return this.#turn;
  }
}

function shortened({ kind, policies }: RecordedRequest["decision"]): RecordedRequest["decision"] {
  return { kind, policies: policies.slice(0, POLICIES_MAX) };
}
