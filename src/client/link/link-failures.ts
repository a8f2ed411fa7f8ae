/** What the end of a connection, or of an attempt to make one, means for the calls that need one. */
import { type ErrorCode, GatehouseError } from "../../core/index.ts";

/** How a connection ends without the gatehouse having judged anything. */
const LOST = new Set<ErrorCode>(["quic.closed", "quic.timed-out", "rpc.draining"]);

/** What a resumed handshake may fail with though one with certificates would do, or would say better why not. */
const UNSURE = new Set<ErrorCode>([
  "quic.closed",
  "quic.wrong-server",
  "quic.not-admitted",
  "certificate.expired",
]);

export function isLost({ code }: GatehouseError): boolean {
  return LOST.has(code);
}

/** Passes by itself when the gatehouse is started again, or the network comes back. */
export function isPassing(failure: unknown): boolean {
  return failure instanceof GatehouseError && (isLost(failure) || failure.code === "quic.unreachable");
}

export function isUnsure(failure: unknown): boolean {
  return failure instanceof GatehouseError && UNSURE.has(failure.code);
}

export function closedHere(): GatehouseError<"quic.closed"> {
  return new GatehouseError("quic.closed", "this side closed the connection");
}
