export { Caller, type CallerOptions, type CallOptions, type OpenStream } from "./caller.ts";
export type { MayRepeat, PendingCall, RepeatLater } from "./client-call.ts";
export { closeOf, errorOf } from "./close.ts";
export type { AnyMethod, CallContext } from "./context.ts";
export { EarlyData, type EarlyDataCounts, type EarlyDataOptions } from "./early-data.ts";
export { type Close, type Frame, type Open, REQUEST_ID_BYTES, readFrame } from "./frame.ts";
export { FrameDecoder } from "./frame-decoder.ts";
export {
  encodeAnswer,
  encodeCall,
  encodeClose,
  encodeMessage,
  encodeMessageHead,
  encodeOpen,
} from "./frame-encoder.ts";
export type { Awaitable, Handler, Handlers, Interceptor } from "./route.ts";
export { Router, type RouterOptions } from "./router.ts";
export { type CallStream, RESET, type StreamSink } from "./stream.ts";
export { type Strike, type StrikeLimits, StrikeRegister } from "./strike-register.ts";
