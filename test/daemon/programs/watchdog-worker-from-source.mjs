// Threads cannot load TypeScript by themselves: the real worker, behind a loader.
import { register } from "tsx/esm/api";

register();
await import("../../../src/daemon/watchdog-worker.ts");
