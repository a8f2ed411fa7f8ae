export type {
  JoinerFacts,
  JoinerKeys,
  PairedDevice,
  PairingAttempt,
  PairingGrant,
} from "./attempt.ts";
export { type ChannelBinding, PAIRING_ALPN, type PairingIdentity } from "./channel.ts";
export { parsePairingCode } from "./code.ts";
export {
  type CpaceInput,
  type CpaceKey,
  type CpaceRole,
  type CpaceRun,
  cpaceGenerator,
  generatorString,
  lvCat,
  startCpace,
} from "./cpace.ts";
export { findJoiner } from "./find-joiner.ts";
export { framePairMessage, PairMessageDecoder } from "./framing.ts";
export {
  type InitiatorOutput,
  PairingInitiator,
  type PairingInitiatorOptions,
  type PairingResult,
  type PairingSecret,
} from "./initiator.ts";
export { PairingLimiter, type PairingLimiterStore } from "./limiter.ts";
export {
  decodePairMessage,
  encodePairMessage,
  type PairingMode,
  type PairMessage,
} from "./messages.ts";
export type { Joiner } from "./question.ts";
export {
  type Enroll,
  type EnrollRequest,
  type PairingEntrance,
  type PairingOutput,
  PairingResponder,
  type PairingResponderOptions,
  type ResponderOutput,
} from "./responder.ts";
export {
  type JoinedPairing,
  type JoinPairingOptions,
  joinPairing,
  type PairingStream,
  type PairingStreamSink,
  servePairing,
} from "./stream.ts";
export { formatPairingUri, isPairingUri, type PairingUri, parsePairingUri } from "./uri.ts";
export { PairingWindow } from "./window.ts";
export type {
  PairingVerdict,
  PairingWindowEvent,
  PairingWindowOptions,
  PairingWindowState,
} from "./window-face.ts";
