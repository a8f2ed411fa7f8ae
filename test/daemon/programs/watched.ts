/**
 * A process under a watchdog. Arguments: notes file, silence in ms, a device's id or nothing. It says `watched`, then
 * does what its standard input says: `freeze`, `freeze-in-turns` (the loop starves its timers, connection by
 * connection), or nothing, until killed.
 */
import { silentLogger, systemClock } from "../../../src/core/index.ts";
import { Watchdog } from "../../../src/daemon/watchdog.ts";
import { parseDeviceId } from "../../../src/identity/index.ts";
import type { QuicConnection } from "../../../src/quic/index.ts";

const [notesFile = "", silenceMs = "", device = ""] = process.argv.slice(2);
const watchdog = await Watchdog.start({
  ...{ notesFile, silenceMs: Number(silenceMs), clock: systemClock, logger: silentLogger },
  parentPid: process.ppid,
  worker: new URL("watchdog-worker-from-source.mjs", import.meta.url),
});
const { spotlight } = watchdog;
// The spotlight tells connections apart and asks nothing else of them.
const [own, other] = [{}, {}] as unknown as readonly [QuicConnection, QuicConnection];
for (const connection of device === "" ? [] : [own, other]) spotlight.name(connection, parseDeviceId(device));

const orders: Readonly<Record<string, () => void>> = {
  freeze: () => {
    spotlight.show(own);
    for (;;);
  },
  "freeze-in-turns": () => {
    for (;;) {
      spotlight.show(own);
      spotlight.show(other);
    }
  },
};
process.stdin.on("data", (order: Buffer) => orders[order.toString().trim()]?.());
setInterval(() => undefined, 60_000);
process.stdout.write("watched\n");
