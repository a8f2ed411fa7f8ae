// A gatehouse that looks at the calendar ten times a second, so that weeks can pass in seconds. A line on its standard input
// opens a pairing window; its end ends it. Plain JavaScript: under a made-up clock nothing of the test's tooling runs here.
import { createInterface } from "node:readline";
import { silentLogger, systemClock, systemRandom } from "../../../dist/core/index.js";
import { Daemon } from "../../../dist/daemon/index.js";

const [home, keyDir, port] = process.argv.slice(2);
const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };
const say = (document) => process.stdout.write(`${JSON.stringify(document)}\n`);

const daemon = await Daemon.start({
  ...effects,
  ...{ home, keyDir, version: "0.0.0", pid: process.pid, roundsPauseMs: 100 },
  listen: [{ host: "127.0.0.1", port: Number(port) }],
  init: { name: "hall" },
});
say({ event: "ready", quic: daemon.ready.quic });

let windows = 0;
for await (const _line of createInterface({ input: process.stdin })) {
  windows += 1;
  for await (const event of daemon.openPairing({ role: "member" }, new AbortController().signal)) {
    say({ event: `${event.kind}-${windows}`, code: event.code });
  }
}
await daemon[Symbol.asyncDispose]();
process.exit(0);
