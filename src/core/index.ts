export { Bell } from "./bell.ts";
export { type Brand, type UnixMs, unixMs } from "./brand.ts";
export {
  ByteReader,
  ByteWriter,
  concat,
  copyOf,
  equalBytes,
  fromHex,
  fromUtf8,
  hex,
  MalformedBytes,
  unmovedCopyOf,
  utf8,
} from "./bytes.ts";
export { type Clock, systemClock } from "./clock.ts";
export { ERROR_CODES, type ErrorCode, EXIT, STATUS, type Status } from "./error-codes.ts";
export { type ErrorDetails, GatehouseError, invariant, isErrorCode, isGatehouseError } from "./errors.ts";
export { firstOf, type RaceOptions } from "./first-of.ts";
export { applyPatch, type PatchOperation, patchBetween } from "./json-patch.ts";
export { isJsonObject, type JsonValue, jsonBytes, parseJson } from "./json-values.ts";
export { LIMITS } from "./limits.ts";
export { isLoaderVariable } from "./loader-variables.ts";
export { type LogFields, type Logger, silentLogger } from "./logger.ts";
export { type Random, systemRandom } from "./random.ts";
export { Resources } from "./resources.ts";
export { SecretBytes } from "./secret-bytes.ts";
export { sourceOf } from "./source-of.ts";
