import { lockHome } from "../../../src/files/index.ts";

/** Takes the lock named first in argv, says so, and keeps it until killed. */
await lockHome(process.argv[2] ?? "");
process.stdout.write("held\n");
setInterval(() => undefined, 60_000);
