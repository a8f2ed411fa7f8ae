import { systemRandom } from "../../../src/core/index.ts";
import { DeviceIdentity } from "../../../src/identity/index.ts";

/** Waits for a byte on standard input, then opens or creates the identity in the directory named in argv. */
process.stdout.write("ready\n");
process.stdin.once("data", () => {
  void DeviceIdentity.openOrCreate(process.argv[2] ?? "", { random: systemRandom }).then(({ id }) => {
    process.stdout.write(`${id}\n`);
    process.stdin.destroy();
  });
});
