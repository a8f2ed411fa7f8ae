export { formatByteSize, parseByteSize } from "./byte-size.ts";
export {
  type Config,
  type ConfigFlags,
  type ConfigSources,
  LOG_LEVELS,
  type LogLevel,
  loadConfig,
  locateConfig,
  type Origin,
  type SettingName,
} from "./config.ts";
export type { ConfigFile } from "./config-file.ts";
export { parseDuration } from "./duration.ts";
export { DEFAULT_DEVICE_LIMITS, type DeviceLimits, describeDeviceLimits } from "./limits-table.ts";
export {
  DEFAULT_PORT,
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
} from "./listen-address.ts";
export { nearestName } from "./nearest.ts";
export { parseRate, type Rate } from "./rate.ts";
