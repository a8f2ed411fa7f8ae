import { gatehouse, METHODS, type MethodDefinition } from "../../src/gen/index.ts";
import {
  Caller,
  EarlyData,
  encodeCall,
  type Frame,
  FrameDecoder,
  type Interceptor,
  Router,
} from "../../src/rpc/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type MemoryStream, type MemoryWireOptions, memoryStreams } from "../support/memory-wire.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const { PingRequest, PingResponse, PairingEvent } = gatehouse.v1;

type Ping = gatehouse.v1.PingRequest.$Properties;
type Pong = gatehouse.v1.PingResponse.$Properties;
type TestMethod<Kind extends "client" | "bidi"> = MethodDefinition<
  Kind,
  Ping,
  gatehouse.v1.PingRequest,
  Pong,
  gatehouse.v1.PingResponse
>;

/** Kinds that no service has yet. */
export const COLLECT: TestMethod<"client"> = {
  path: "/test.v1.Test/Collect",
  kind: "client",
  hasNoSideEffects: true,
  request: PingRequest,
  response: PingResponse,
};
export const ECHO: TestMethod<"bidi"> = { ...COLLECT, path: "/test.v1.Test/Echo", kind: "bidi" };

export const { Ping: PING, Status: STATUS } = METHODS.Health;
export const { Open: OPEN } = METHODS.Pairing;
export const { Put: PUT } = METHODS.Vault;
export const REQUEST_ID = Uint8Array.from({ length: 16 }, (_, index) => index);

export interface LoggedFailure {
  readonly event: string;
  readonly error: unknown;
}

/** A router, a caller and a clock that stands still. */
export function house(interceptors: readonly Interceptor<string>[] = []) {
  const clock = new ManualClock();
  const failures: LoggedFailure[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (event: string, fields?: Readonly<Record<string, unknown>>) =>
      void failures.push({ event, error: fields?.["error"] }),
  };
  const earlyData = new EarlyData<string>({ clock, ownerOf: (peer) => peer });
  const router = new Router<string>({ clock, log, interceptors, earlyData });
  const caller = new Caller({ clock, random: new SeededRandom(1) });
  const streams: { near: MemoryStream; far: MemoryStream }[] = [];
  const dial = (options: MemoryWireOptions = {}, isEarlyData = false) => {
    const pair = memoryStreams(options, isEarlyData);
    streams.push(pair);
    router.serve(pair.far, "someone");
    return pair.near;
  };
  return { clock, router, caller, failures, streams, dial };
}

/** A raw call as a well-behaved caller writes it. */
export function pingBytes(payload: Uint8Array = new Uint8Array(), method = PING.path): Uint8Array {
  return encodeCall(
    { method, timeoutMs: 1_000, requestId: REQUEST_ID, traceparent: "" },
    PingRequest.encode({ payload }).finish(),
  );
}

export function framesOf(chunks: readonly Uint8Array[]): Frame[] {
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) frames.push(copied(frame));
    decoder.keep();
  }
  if (decoder.unreadBytes > 0) throw new Error("the answer ends inside a frame");
  return frames;
}

/** What the far end answered last: its close's code, "" for success, undefined without one. */
export function closeCode(stream: { readonly written: readonly Uint8Array[] }): string | undefined {
  const last = framesOf(stream.written).at(-1);
  return last?.kind === "close" ? last.close.code : undefined;
}

function copied(frame: Frame): Frame {
  return frame.kind === "message" ? { kind: "message", bytes: new Uint8Array(frame.bytes) } : frame;
}

export async function collect<Item>(all: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of all) items.push(item);
  return items;
}

export { PairingEvent };
