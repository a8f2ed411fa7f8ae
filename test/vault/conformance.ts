/**
 * What every engine behind `VaultStore` must do, of that port alone: `describeVaultStore("name", () => world)`. A world says
 * how the engine is opened and what can happen to it there: power fails, the disk fills or lies.
 */
import { describeDurability } from "./conformance-durability.ts";
import { describeFailures } from "./conformance-failures.ts";
import { describeRecords } from "./conformance-records.ts";
import type { StoreWorld } from "./store-world.ts";

export function describeVaultStore(name: string, make: () => StoreWorld): void {
  describeRecords(name, make);
  describeDurability(name, make);
  describeFailures(name, make);
}
