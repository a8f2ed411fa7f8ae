/** One exchange between the real machines, the same each time. */
import { silentLogger, utf8 } from "../../src/core/index.ts";
import {
  type ChannelBinding,
  decodePairMessage,
  formatPairingUri,
  framePairMessage,
  PairingInitiator,
  PairingLimiter,
  type PairingMode,
  PairingResponder,
  type PairingSecret,
  PairingWindow,
  PairMessageDecoder,
} from "../../src/pairing/index.ts";
import { decodePairBody } from "../../src/pairing/messages.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { drawing, fixedBytes } from "./fixed.ts";
import { leafOf, NOW } from "./pairing-parties.ts";
import { drawn, type Parties, type Values, valuesOf } from "./pairing-values.ts";

export interface Wish {
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  readonly replace: boolean;
}

export interface ExchangePlan {
  readonly name: string;
  readonly mode: PairingMode;
  readonly wish: Wish;
  /** Id of the device that has the name already: somebody is asked then. */
  readonly replaced?: string;
  /** Over TCP the exchange is bound to the connection too. */
  readonly isOverTcp?: true;
}

function bindingOf({ name, isOverTcp }: ExchangePlan): ChannelBinding {
  if (isOverTcp === undefined) return { kind: "none" };
  return { kind: "tls-exporter", bytes: fixedBytes(`${name}/tls-exporter`, 32) };
}

export interface Message {
  readonly from: "joiner" | "gatehouse";
  readonly what: string;
  /** Framed. */
  readonly bytes: Uint8Array;
}

export interface Exchange {
  readonly plan: ExchangePlan;
  readonly uri: string | undefined;
  readonly role: string;
  readonly pendingMs: number | undefined;
  readonly values: Values;
  readonly messages: readonly Message[];
}

/** Both machines before their first message. */
export interface Machines {
  readonly window: PairingWindow;
  readonly secret: Uint8Array;
  readonly initiator: PairingInitiator;
  readonly responder: PairingResponder;
}

const ROLE = "member";
const ADDRESS = "[2001:db8::7]:7443";

export async function machines(plan: ExchangePlan, { joiner, gatehouse }: Parties): Promise<Machines> {
  const window = await windowOf(plan);
  const { code = "" } = window;
  const { id: gatehouseId } = gatehouse.identity;
  const uriSecret = Uint8Array.from(window.uriSecret);
  const secret: PairingSecret =
    plan.mode === "code" ? { mode: "code", code } : { mode: "uri", secret: uriSecret, gatehouseId };
  const certificate = await leafOf(gatehouse, { of: joiner, usage: "device" });
  const initiator = new PairingInitiator({
    ...{ secret, identity: joiner.identity, ...plan.wish },
    certificate: joiner.certificate,
    ...{ peerCertificate: gatehouse.certificate, binding: bindingOf(plan) },
    certificateRequest: joiner.certificateRequest,
    clock: new ManualClock(NOW),
    random: drawing(...drawn(plan.name, "joiner")),
  });
  const responder = new PairingResponder({
    ...{ window, identity: gatehouse.identity, gatehouseName: gatehouse.name, logger: silentLogger },
    certificate: gatehouse.certificate,
    ...{ peerCertificate: joiner.certificate, binding: bindingOf(plan) },
    enroll: ({ name, role }) =>
      Promise.resolve({
        ...{ deviceId: joiner.identity.id, name, role, certificate },
        caCertificates: [gatehouse.caCertificate],
      }),
    random: drawing(...drawn(plan.name, "gatehouse")),
  });
  return { window, secret: plan.mode === "code" ? utf8(code) : uriSecret, initiator, responder };
}

export async function runExchange(plan: ExchangePlan, parties: Parties): Promise<Exchange> {
  const { window, secret, initiator, responder } = await machines(plan, parties);
  const messages: Message[] = [];
  const note = (from: Message["from"], bytes: Uint8Array): void => {
    messages.push(...framesOf(bytes).map((frame) => ({ from, ...described(frame) })));
  };
  let pendingMs: number | undefined;
  for (let up: Uint8Array = initiator.start(); up.length > 0; ) {
    note("joiner", up);
    const answer = await responder.receive(up);
    note("gatehouse", answer.bytes);
    const heard = initiator.receive(answer.bytes);
    pendingMs ??= heard.pendingMs;
    up = heard.bytes;
    if (answer.later !== undefined) {
      window.decide(parties.joiner.identity.id, "approve");
      const { bytes } = await answer.later;
      note("gatehouse", bytes);
      initiator.receive(bytes);
    }
    if (initiator.result !== undefined) up = initiator.acknowledge();
  }
  if (window.isAccepting) throw new Error(`the exchange ${plan.name} did not end in a pairing`);
  const { id: gatehouseId } = parties.gatehouse.identity;
  return {
    ...{ plan, role: ROLE, pendingMs, messages },
    uri: plan.mode === "uri" ? formatPairingUri({ address: ADDRESS, gatehouseId, secret }) : undefined,
    values: valuesOf({ ...plan, secret, binding: bindingOf(plan) }, parties),
  };
}

function framesOf(bytes: Uint8Array): readonly Uint8Array[] {
  return new PairMessageDecoder().push(bytes).map((frame) => Uint8Array.from(frame));
}

function described(frame: Uint8Array): Omit<Message, "from"> {
  const message = decodePairMessage(frame);
  const what = message.kind === "sealed" ? `sealed ${decodePairBody(message.body).kind}` : message.kind;
  return { what, bytes: framePairMessage(frame) };
}

async function windowOf({ mode, name, replaced }: ExchangePlan): Promise<PairingWindow> {
  const clock = new ManualClock(NOW);
  const store = { load: () => Promise.resolve([]), recordBurnt: () => Promise.resolve() };
  const secret = fixedBytes(`${name}/secret`, 16);
  // A code is drawn anew when the four bytes are among the last that 10^6 does not divide.
  const code = fixedBytes(`${name}/code`, 4).with(0, 0);
  return PairingWindow.open({
    ...{ clock, role: ROLE, limiter: await PairingLimiter.open(store, clock), onEvent: () => undefined },
    random: mode === "code" ? drawing(code, secret) : drawing(secret),
    ...(mode === "code" ? {} : { code: "none" }),
    ...(replaced === undefined ? {} : { findByName: () => replaced }),
  });
}
