export {
  type Config,
  type ConfigFlags,
  type ConfigSources,
  LOG_LEVELS,
  type LogLevel,
  loadConfig,
} from "./config.ts";
export { parseDuration } from "./duration.ts";
export {
  DEFAULT_PORT,
  formatListenAddress,
  type ListenAddress,
  parseListenAddress,
} from "./listen-address.ts";
export { nearestName } from "./nearest.ts";
