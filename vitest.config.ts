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
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    provide: { wycheproof, effort: mode === "long" ? "long" : "short" },
  },
}));
