// The program as it ships, but for one thing: a ping that carries the word below loops for ever, as a datagram that
// the native library cannot get out of would. With SILENCE_MS its watchdog is less patient.
import { LIMITS } from "../../../dist/core/index.js";
import { gatehouse } from "../../../dist/gen/index.js";

const { PingRequest } = gatehouse.v1;
const decode = PingRequest.decode.bind(PingRequest);
PingRequest.decode = (...input) => {
  const ping = decode(...input);
  if (Buffer.from(ping.payload).toString() === "freeze") for (;;);
  return ping;
};
if (process.env.SILENCE_MS !== undefined) LIMITS.watchdogSilenceMs = Number(process.env.SILENCE_MS);

await import("../../../dist/cli/main.js");
