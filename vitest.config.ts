import { env } from "node:process";
import { defineConfig } from "vitest/config";

/** For one test, and not for the programs that others start: those refuse variables they do not know. */
const wycheproof = env["GATEHOUSE_WYCHEPROOF"] ?? "";
Reflect.deleteProperty(env, "GATEHOUSE_WYCHEPROOF");

/** Rooms whose tests leave nothing behind in their process: loaded once for all files, which is most of their time. */
const ROOMS = [
  ...[
    "audit",
    "authz",
    "backup",
    "bench",
    "ca",
    "certs",
    "client",
    "config",
    "core",
    "crypto",
    "daemon",
    "files",
  ],
  ...[
    "grpc",
    "identity",
    "keystore",
    "measure",
    "observe",
    "pairing",
    "quic",
    "reference",
    "rpc",
    "services",
  ],
  ...["tools", "vault"],
];
const rooms = ROOMS.map((name) => `test/${name}/**/*.test.ts`);

export default defineConfig(({ mode }) => {
  // Said of each project: extended ones ask this file again, without what the command line said.
  const provide = { wycheproof, effort: mode === "long" ? "long" : "short" } as const;
  return {
    test: {
      // Children, sockets and WebAssembly: processes, as in production.
      pool: "forks",
      // As `gatehouse serve` sets them for itself.
      execArgv: ["--no-turbo-inline-js-wasm-calls", "--wasm-tiering-budget=300000000"],
      // On two cores: tests that wait for children, clocks and disks leave room for a third.
      maxWorkers: 3,
      testTimeout: 60_000,
      hookTimeout: 60_000,
      projects: [
        {
          extends: true,
          test: { name: "whole", provide, include: ["test/**/*.test.ts"], exclude: rooms },
        },
        { extends: true, test: { name: "rooms", provide, include: rooms, isolate: false } },
      ],
    },
  };
});
