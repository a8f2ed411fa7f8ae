// Preloaded into the real program: keeps an eye on the doors it opens and answers over the IPC channel what cannot be
// seen from outside. Plain JavaScript, so that nothing of the test's tooling runs in the process that is measured.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { QuicServer } from "../../dist/quic/index.js";

const GC_ROUNDS = 3;
const servers = [];
const warnings = [];
const delay = monitorEventLoopDelay({ resolution: 2 });
delay.enable();

const listen = QuicServer.listen.bind(QuicServer);
QuicServer.listen = async (...args) => {
  const server = await listen(...args);
  servers.push(server);
  return server;
};

process.on("warning", ({ name, message }) => warnings.push(`${name}: ${message}`));
process.on("message", (question) => void answer(question));
// Whoever asks may be asked no more: the channel alone must not keep the program alive.
process.channel?.unref();

async function answer({ id, collect: isCollecting }) {
  if (isCollecting) await collect();
  process.send({ id, figures: figures() });
  delay.reset();
}

function figures() {
  const { rss, heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    counters: counters(),
    connections: servers.reduce((sum, server) => sum + server.connectionCount, 0),
    rssMiB: mebibytes(rss),
    heapMiB: mebibytes(heapUsed),
    externalMiB: mebibytes(external),
    loopDelayMs: { p99: milliseconds(delay.percentile(99)), max: milliseconds(delay.max) },
    cpuMs: Math.round((user + system) / 1_000),
    resources: tally(process.getActiveResourcesInfo()),
    warnings,
  };
}

function counters() {
  const sums = {};
  for (const server of servers)
    for (const [name, value] of Object.entries(server.counters ?? {}))
      if (typeof value === "number") sums[name] = (sums[name] ?? 0) + value;
  return sums;
}

/** Finalizers of native objects run in turns of their own, after the collection that found them. */
async function collect() {
  for (let round = 0; round < GC_ROUNDS; round += 1) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function tally(names) {
  const counts = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function mebibytes(bytes) {
  return Math.round(bytes / 104_857.6) / 10;
}

function milliseconds(nanoseconds) {
  return Math.round(nanoseconds / 100_000) / 10;
}
