import { utf8 } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import type { MethodDefinition } from "../gen/index.ts";
import type { CallContext } from "../rpc/index.ts";
import { AlreadyAnswered, type Mutation } from "../vault/index.ts";
import type { AuditDetail, Granted } from "./granted-call.ts";
import type { Peer } from "./peer.ts";

export interface MutatingCall<RequestFields, Result, ResponseFields> {
  readonly context: CallContext<Peer>;
  readonly granted: Granted;
  readonly request: RequestFields;
  /** For the record; may tell what came of it. */
  readonly detail?: AuditDetail | ((result: Result) => AuditDetail);
  /** Instead of an event of the call itself. */
  readonly event?: () => Uint8Array;
  readonly reply: (result: Result) => ResponseFields;
  /** Makes the change; its record and the reply for a repetition ride along in `mutation`. */
  readonly change: (mutation: Mutation<Result>) => Promise<Result>;
}

/**
 * Makes a change once: its audit record and, where the caller gave a request id, its reply are committed with it, and the
 * same request again gets the same reply and does nothing.
 */
export async function mutate<RequestFields, Result, ResponseFields, Response extends ResponseFields>(
  method: MethodDefinition<"unary", RequestFields, unknown, ResponseFields, Response>,
  call: MutatingCall<RequestFields, Result, ResponseFields>,
): Promise<ResponseFields> {
  const { context, granted, request, reply, detail } = call;
  const { requestId, peer } = context;
  const mutation: Mutation<Result> = {
    audit: (result) =>
      call.event?.() ?? granted.event(typeof detail === "function" ? detail(result) : detail),
    ...(requestId === undefined
      ? {}
      : {
          replay: {
            principal: peer.deviceId,
            requestId,
            requestHash: requestHashOf(method, request),
            reply: (result) => method.response.encode(reply(result)).finish(),
          },
        }),
  };
  try {
    return reply(await call.change(mutation));
  } catch (outcome) {
    if (outcome instanceof AlreadyAnswered) return method.response.decode(outcome.reply);
    throw outcome;
  }
}

/** Tells a retry from another call under a used id. What is hashed is wiped: it may hold a secret. */
export function requestHashOf<Fields>(
  method: Pick<MethodDefinition<"unary", Fields, unknown, unknown, unknown>, "path" | "request">,
  request: Fields,
): Uint8Array {
  const encoded = method.request.encode(request).finish(true);
  const hash = sha256(utf8(`${method.path}\n`), encoded);
  encoded.fill(0);
  return hash;
}
