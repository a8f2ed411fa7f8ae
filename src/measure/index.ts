export { type Percentiles, percentiles } from "./percentiles.ts";
export { type PingOptions, type PingReport, type PingTarget, ping } from "./ping.ts";
