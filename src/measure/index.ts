export { type Percentiles, percentiles } from "./percentiles.ts";
