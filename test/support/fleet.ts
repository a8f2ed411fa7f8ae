/** Any number of installs that have joined one gatehouse, paired by its owner one after the other, in this process. */
import { join } from "node:path";
import { connect, joinGatehouse, METHODS } from "../../src/client/index.ts";
import type { Install } from "./gatehouse-process.ts";

/** Answers the homes, in order; they lie in the install's own directory and go with it. */
export async function pairFleet(
  gatehouse: Pick<Install, "home" | "root">,
  address: string,
  names: readonly string[],
): Promise<readonly string[]> {
  await using owner = await connect({ home: gatehouse.home });
  const homes: string[] = [];
  for (const name of names) {
    const home = join(gatehouse.root, `device-${name}`);
    for await (const event of owner.stream(METHODS.Pairing.Open, { role: "member" })) {
      const code = event.opened?.code;
      // The stream goes on until the device has come in.
      if (typeof code !== "string") continue;
      await joinGatehouse({ home, target: address, code, name, kind: "test", platform: "test" });
    }
    homes.push(home);
  }
  return homes;
}
