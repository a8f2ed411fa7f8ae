import { env } from "node:process";
import { defineConfig } from "vitest/config";

/** For one test, and not for the programs that others start: those refuse variables they do not know. */
const wycheproof = env["GATEHOUSE_WYCHEPROOF"] ?? "";
Reflect.deleteProperty(env, "GATEHOUSE_WYCHEPROOF");

export default defineConfig(({ mode }) => ({
  test: {
    include: ["test/**/*.test.ts"],
    // Children, sockets and WebAssembly: a process for each file, as in production.
    pool: "forks",
    // As `gatehouse serve` sets them for itself.
    execArgv: ["--no-turbo-inline-js-wasm-calls", "--wasm-tiering-budget=300000000"],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    provide: { wycheproof, effort: mode === "long" ? "long" : "short" },
  },
}));
