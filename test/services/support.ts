import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditEntry, AuditLog, encodeAuditEvent } from "../../src/audit/index.ts";
import { type Authorizer, RequestRecorder } from "../../src/authz/index.ts";
import { DeviceRegistry } from "../../src/ca/index.ts";
import { DEFAULT_DEVICE_LIMITS } from "../../src/config/index.ts";
import {
  GatehouseError,
  invariant,
  Resources,
  silentLogger,
  systemClock,
  unixMs,
  utf8,
} from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { Approvals } from "../../src/daemon/approval-desk.ts";
import { factsOf } from "../../src/daemon/device-directory.ts";
import { openPolicies } from "../../src/daemon/policies.ts";
import { mayManage, policyDesk } from "../../src/daemon/policy-desk.ts";
import { Workshop } from "../../src/daemon/tool-shop.ts";
import type { MethodDefinition } from "../../src/gen/index.ts";
import { type DeviceId, deviceIdOf } from "../../src/identity/index.ts";
import { Caller, type CallOptions, type Router } from "../../src/rpc/index.ts";
import {
  createRouter,
  type PairingWindowEvent,
  type PairingWindows,
  type Peer,
  type ServiceParts,
  type WaitingJoiner,
} from "../../src/services/index.ts";
import { parseTools } from "../../src/tools/index.ts";
import { type DeviceRow, keyFileProvider, Vault } from "../../src/vault/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { memoryStreams } from "../support/memory-wire.ts";
import { SeededRandom } from "../support/seeded-random.ts";

/** A pairing window that the test works: it says its events, then stays open until its caller leaves. */
export class TestWindows implements PairingWindows {
  readonly opened: { readonly role: string; readonly ttlMs?: number | undefined }[] = [];
  events: readonly PairingWindowEvent[] = [];
  joiners: readonly WaitingJoiner[] = [];
  readonly decided: string[] = [];
  staysOpen = true;
  isClosed = false;

  waiting(): readonly WaitingJoiner[] {
    return this.joiners;
  }

  find(text: string): WaitingJoiner {
    const joiner = this.joiners.find(({ deviceId }) => deviceId === text);
    if (joiner === undefined) throw new GatehouseError("pairing.not-waiting", "nobody by that id waits");
    return joiner;
  }

  decide(text: string, verdict: "approve" | "deny"): WaitingJoiner {
    this.decided.push(`${verdict} ${text}`);
    return this.find(text);
  }

  async *open(options: { readonly role: string; readonly ttlMs?: number | undefined }, signal: AbortSignal) {
    this.opened.push(options);
    yield* this.events;
    if (this.staysOpen && !signal.aborted) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    this.isClosed = true;
  }
}

/** Where a gatehouse lives, from one start of it to the next. */
interface Place {
  readonly root: string;
  readonly clock: ManualClock;
  readonly changes: Changes;
  readonly tools: unknown;
  /** How often it was started before. */
  readonly restarts: number;
}

export interface Restart {
  readonly tools?: unknown;
  readonly pauseMs?: number;
}

interface Parts {
  readonly clock: ManualClock;
  readonly random: SeededRandom;
  readonly vault: Vault;
  readonly audit: AuditLog;
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly windows: TestWindows;
  readonly authorizer: Authorizer;
  readonly recorder: RequestRecorder;
  readonly router: Router<Peer>;
}

/** Replaces parts of a gatehouse by what a test needs. */
export type Changes = (parts: ServiceParts) => Partial<ServiceParts>;

/**
 * A gatehouse without a network: vault, audit log, registry and policies are the real ones. It knows the owners
 * `owner` and `second`, the members `phone` and `laptop`, and `guest`, whose role no policy mentions.
 */
export class World implements AsyncDisposable {
  readonly parts: Parts;
  /** Of those who call from now on. */
  access: Peer["access"] = "full";
  readonly #resources: Resources;
  readonly #caller: Caller;
  readonly #place: Place;
  #isRestarting = false;

  private constructor(parts: Parts, resources: Resources, place: Place) {
    this.parts = parts;
    this.#resources = resources;
    this.#place = place;
    this.#caller = resources.use(new Caller(parts));
  }

  /** `tools`: as in the configuration. */
  static async open(changes: Changes = () => ({}), tools?: unknown): Promise<World> {
    const root = await mkdtemp(join(tmpdir(), "gatehouse-services-"));
    return await World.#openAt({ root, clock: new ManualClock(), changes, tools, restarts: 0 });
  }

  /** Ends this one; the next has what was on disk, and nothing else of it. */
  async restart({ tools = this.#place.tools, pauseMs = 0 }: Restart = {}): Promise<World> {
    this.#isRestarting = true;
    await this[Symbol.asyncDispose]();
    this.#place.clock.advance(pauseMs);
    return await World.#openAt({ ...this.#place, tools, restarts: this.#place.restarts + 1 });
  }

  static async #openAt(place: Place): Promise<World> {
    const { clock, changes, tools } = place;
    await using resources = new Resources();
    const { vault, audit, random } = await openStorage(resources, place);
    const gatehouseId = idOf("gatehouse");
    const registry = new DeviceRegistry<DeviceRow>({
      ...{ store: vault.devices, gatehouseId, clock },
      ...{ caCertificates: () => [], everyCaCertificate: () => [] },
    });
    for (const [at, [name, role]] of DEVICES.entries()) {
      if (place.restarts === 0) await addDevice(vault, name, role, at + 1);
    }
    const windows = new TestWindows();
    const recorder = new RequestRecorder();
    const policies = await openPolicies(vault.policies, { recorder, logger: silentLogger });
    const { authorizer } = policies;
    const rights = new Set<() => void>();
    const announce = (): void => {
      for (const listener of rights) listener();
    };
    resources.use(vault.users.subscribe(announce));
    const activeDevices = () =>
      registry
        .list()
        .filter(({ state }) => state === "active")
        .map((row) => ({ id: row.id, ...factsOf(row, vault.users) }));
    const service: ServiceParts = {
      ...{ gatehouseId, audit, auditLog: audit, clock, random, logger: silentLogger },
      ...{ secrets: vault.secrets, windows },
      ...{ authorizer, requests: recorder, limits: DEFAULT_DEVICE_LIMITS, activeDevices },
      onRightsChange: (listener) => {
        rights.add(listener);
        return { [Symbol.dispose]: () => void rights.delete(listener) };
      },
      policies: policyDesk({
        ...{ ...policies, shelf: vault.policies, epochChange: () => vault.devices.epochChange() },
        isManageable: (candidate) =>
          activeDevices().some((device) => mayManage(candidate, { device, clock })),
        changed: () => Promise.resolve(announce()),
      }),
      lastDenial: (id) =>
        recorder
          .recorded()
          .filter(({ request: { principal } }) => id === undefined || principal.deviceId === id)
          .findLast(({ decision }) => decision.kind === "deny")?.request,
      approvals: resources.use(
        new Approvals({ shelf: vault.approvals, audit, clock, random, logger: silentLogger }),
      ),
      shop: resources.use(
        new Workshop({
          ...{ tools: parseTools(tools, { configFile: "config.toml" }), protectedDirs: [] },
          // Real timers: tools take real time.
          clock: { ...systemClock, monotonicMs: () => clock.monotonicMs() },
          logger: silentLogger,
        }),
      ),
      auditHash: (argumentsHash) => `keyed ${argumentsHash}`,
      users: {
        list: () => vault.users.list(),
        devicesOf: (name) => registry.list().filter(({ user }) => user === name),
        add: (user, mutation) => vault.users.add(user, mutation),
        remove: (name, mutation) => vault.users.remove(name, mutation),
        grant: (name, role, mutation) => vault.users.grant(name, role, mutation),
        ungrant: (name, role, mutation) => vault.users.ungrant(name, role, mutation),
      },
      devices: {
        get: (id) => vault.devices.get(id),
        assign: (id, user, mutation) =>
          vault.devices.assign(
            id,
            user,
            mutation,
            () => void (user === undefined || vault.users.known(user)),
          ),
        facts: (row) => factsOf(row, vault.users),
        rolesOfUser: (name) => vault.users.known(name).roles,
        list: () => registry.list(),
        find: (text) => registry.find(text),
        lastSeen: (id) => registry.lastSeen(id),
        connectionCount: () => 3,
        isReadmitted: (id) => registry.isReadmitted(id),
        onChange: (listener) => registry.onChange(listener),
        revoke: (id, at, mutation) => vault.devices.revoke(id, at, mutation),
        release: (id, mutation) => vault.devices.release(id, mutation),
        rename: (id, name, mutation) => vault.devices.rename(id, name, mutation),
        grant: (id, role, mutation) => vault.devices.grant(id, role, mutation),
        ungrant: (id, role, mutation) => vault.devices.ungrant(id, role, mutation),
        readmit: (id, until, mutation) => vault.devices.readmit(id, until, mutation),
        renew: ({ deviceId, certificateRequest }, mutation) =>
          vault.devices.renewed(deviceId, renewedBy(certificateRequest), mutation, () => RENEWAL),
      },
      keys: {
        slots: () => vault.keys.slots,
        rotate: (kind, mutation) => vault.rotation.begin(kind, { ended: () => utf8("rotated") }, mutation),
        watch: (signal) => vault.rotation.watch(signal),
        abort: () => vault.rotation.abort({ ended: () => utf8("rotated") }),
      },
      backup: {
        async *create(recipients) {
          yield { bytes: utf8("file") };
          const summary = { sequence: 1, sizeBytes: 4, sha256: new Uint8Array(32), createdAt: 9 };
          yield { summary: { ...summary, recipients } };
        },
      },
      authority: {
        generations: () => [],
        serverCertificate: () => ({ serial: "0a", expiresAt: 9 }),
        revocationEpoch: () => vault.devices.epoch,
        rotate: () => Promise.resolve(),
        renewServer: () => Promise.resolve(),
        revocationLists: () => Promise.resolve([utf8("list")]),
      },
      health: {
        ...{ name: "home", deviceId: gatehouseId, fingerprint: "ab12", version: "1.2.3" },
        ...{ grpc: () => "", quic: () => "127.0.0.1:7443", devicesBy: (state) => registry.countOf(state) },
        ...{ burntCodes: () => 2, certificateExpiresAt: () => 9 },
        counters: () => ({ retries: 7 }),
        state: () => vault.state,
      },
      seal: { begin: () => undefined, state: () => vault.state },
    };
    const router = resources.use(createRouter({ ...service, ...changes(service) }));
    const parts = { vault, audit, clock, random, registry, windows, authorizer, recorder, router };
    return new World(parts, resources.move(), place);
  }

  /** Calls a unary method as the named device. */
  async call<RequestFields, Request, ResponseFields, Response>(
    name: string,
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    return await this.#caller.unary(() => this.dial(name), method, request, options);
  }

  stream<RequestFields, Request, ResponseFields, Response>(
    name: string,
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    return this.#caller.serverStream(() => this.dial(name), method, request, options);
  }

  dial(name: string) {
    const { near, far } = memoryStreams();
    this.parts.router.serve(far, this.#peer(idOf(name)));
    return near;
  }

  /** What the audit log holds by now of what was asked by devices, oldest first. */
  async audited(): Promise<AuditEntry[]> {
    const entries: AuditEntry[] = [];
    for await (const entry of this.parts.audit.records()) entries.push(entry);
    return entries.filter(({ event }) => event.action !== "test:setup");
  }

  /** `who action resource outcome code` of each audited event. */
  async auditLines(): Promise<string[]> {
    return (await this.audited()).map(({ event }) =>
      [nameOf(event.principal), event.action, event.resource, event.outcome, event.code].join(" ").trimEnd(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
    if (!this.#isRestarting) await rm(this.#place.root, { recursive: true, force: true });
  }

  #peer(deviceId: DeviceId): Peer {
    const { registry, vault } = this.parts;
    return {
      ...{ deviceId, wire: "quic", remoteAddress: () => "192.0.2.7", access: this.access },
      serverSpkiSha256: new Uint8Array(32),
      facts: () => {
        const row = registry.get(deviceId);
        return row?.state === "active" ? factsOf(row, vault.users) : undefined;
      },
    };
  }
}

const RENEWAL = {
  ...{ certificate: utf8("certificate"), caCertificates: [utf8("authority")], signature: new Uint8Array(64) },
  now: 5,
};

/** As if the request were one. @throws certificate.bad-request for an empty one */
function renewedBy(certificateRequest: Uint8Array) {
  if (certificateRequest.length === 0) throw new GatehouseError("certificate.bad-request", "it is empty");
  const certificate = { serial: "0b", expiresAt: 1_900_000_000_000, generation: 1 };
  return { spkiSha256: new Uint8Array(32), certificate, at: 1_700_000_000_000 };
}

const DEVICES = [
  ["owner", "owner"],
  ["second", "owner"],
  ["phone", "member"],
  ["laptop", "member"],
  ["guest", "visitor"],
] as const;

/** The id of a device whose public key is the hash of its name. */
export function idOf(name: string): DeviceId {
  return deviceIdOf(keyOf(name));
}

function nameOf(id: string): string {
  return DEVICES.find(([name]) => idOf(name) === id)?.[0] ?? id;
}

function keyOf(name: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(name).digest());
}

async function openStorage(resources: Resources, { root, clock, restarts }: Place) {
  const random = new SeededRandom(11 + restarts);
  let audit: AuditLog | undefined;
  const vault = resources.use(
    await Vault.openOrCreate({
      ...{
        dir: join(root, "vault"),
        clock,
        random,
        kek: keyFileProvider({ dir: join(root, "keys"), random }),
      },
      audit: async (deriveKey) => {
        const key = deriveKey(LABELS.auditLog);
        audit = resources.use(await AuditLog.open({ dir: join(root, "audit"), key, clock, random }));
        return audit;
      },
    }),
  );
  invariant(audit !== undefined, "the vault opens its audit log");
  return { vault, audit, random };
}

async function addDevice(vault: Vault, name: string, role: string, pairedAt: number): Promise<void> {
  const device = {
    ...{ id: idOf(name), name, role, pairedAt, identityKey: keyOf(name), spkiSha256: keyOf(`${name} tls`) },
    ...{ kind: "cli", platform: "linux" },
    certificate: { serial: "01", expiresAt: 1_800_000_000_000, generation: 1 },
  };
  await vault.devices.add(device, { audit: setupEvent() });
}

let events = 0;

function setupEvent(): Uint8Array {
  events += 1;
  const eventId = keyOf(String(events)).slice(0, 16);
  return encodeAuditEvent(
    { action: "test:setup", resource: "gatehouse", outcome: "done" },
    unixMs(1),
    eventId,
  );
}

export const bytes = utf8;
