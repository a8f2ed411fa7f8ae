/** A process that floods: told over IPC what and where, then when to begin; answers what rate it really reached. */
import { once } from "node:events";
import { setPriority } from "node:os";
import { isObject, text } from "../support/gatehouse-process.ts";
import { FLOODS, type FloodOptions, isFloodKind } from "./flood-kinds.ts";
import { pace } from "./pace.ts";

/** A flood comes from elsewhere: it must not take the processor from the good client on this machine. */
const LOWEST = 19;

const ordered = message();
process.send?.({ event: "up" });
const order = await ordered;
const kind = text(order["kind"]);
if (!isFloodKind(kind)) throw new RangeError(`no such flood: ${kind}`);
const perSecond = Number(order["perSecond"]);
const seconds = Number(order["seconds"]);
setPriority(LOWEST);
{
  using flood = await FLOODS[kind](targetOf(order, perSecond * seconds));
  const begin = message();
  process.send?.({ event: "ready" });
  await begin;
  const paced = await pace({ perSecond, seconds }, flood.next);
  process.send?.({ event: "done", ...paced, figures: flood.figures() });
}
process.disconnect();

async function message(): Promise<Readonly<Record<string, unknown>>> {
  const [first]: unknown[] = await once(process, "message");
  if (!isObject(first)) throw new TypeError("not an order");
  return first;
}

function targetOf(fields: Readonly<Record<string, unknown>>, datagrams: number): FloodOptions {
  const { port, serverName, identity } = fields;
  return {
    ...{ port: Number(port), serverName: text(serverName), datagrams },
    ...(isObject(identity)
      ? { identity: { keyPem: text(identity["keyPem"]), certificatePem: text(identity["certificatePem"]) } }
      : {}),
  };
}
