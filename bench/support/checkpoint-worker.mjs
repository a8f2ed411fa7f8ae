// Threads cannot load TypeScript by themselves: the product's own worker, behind a loader.
import { register } from "tsx/esm/api";

register();
await import("../../src/vault/checkpoint-worker.ts");
