/**
 * A client of the kill torture, for as long as its daemon comes back. Standard input: `go PORT` for each new life of the
 * daemon. Output: a JSON line for each change that was acknowledged.
 */
import { createInterface } from "node:readline";
import { METHODS } from "../../../src/gen/index.ts";
import { OwnerDoor } from "../../support/owner-door.ts";
import { killValue } from "../kill-value.ts";

const PATHS = 4;
const [home = "", name = "", kind = "puts"] = process.argv.slice(2);

let attempt = 0;

/** Ends with the door. */
async function write(door: OwnerDoor): Promise<never> {
  for (;;) {
    attempt += 1;
    const path = `kill/${name}/${attempt % PATHS}`;
    const { version } = await door.call(METHODS.Vault.Put, { path, value: killValue(path, attempt) });
    say({ did: "put", path, version: Number(version), attempt });
  }
}

/** Each destruction writes the vault's files anew: kills land in checkpoints. */
async function destroy(door: OwnerDoor): Promise<never> {
  for (;;) {
    attempt += 1;
    const path = `kill/${name}/${attempt}`;
    await door.call(METHODS.Vault.Put, { path, value: killValue(path, attempt) });
    say({ did: "put", path, version: 1, attempt });
    await door.call(METHODS.Vault.Destroy, { path });
    say({ did: "destroyed", path });
  }
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let door: OwnerDoor | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  // What is under way there is never answered; its failure is expected.
  void door?.[Symbol.asyncDispose]().catch(() => undefined);
  door = undefined;
  const opened = await OwnerDoor.open(home, Number(line.split(" ")[1])).catch(() => undefined);
  // Killed before anybody got in.
  if (opened === undefined) continue;
  door = opened;
  (kind === "puts" ? write(opened) : destroy(opened)).catch(() => undefined);
}
process.exit(0);
