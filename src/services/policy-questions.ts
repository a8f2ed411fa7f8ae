/** What somebody wants explained, as policies would be asked it. */
import {
  ACTIONS,
  type Action,
  type AuthorizationRequest,
  type Principal,
  type Resource,
} from "../authz/index.ts";
import { type Clock, GatehouseError, isGatehouseError } from "../core/index.ts";
import type { gatehouse } from "../gen/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import type { CallContext } from "../rpc/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import type { CallerFacts, Granted } from "./guard.ts";
import { parseRole } from "./names.ts";
import type { Peer } from "./peer.ts";
import { parseResourceName } from "./resource-name.ts";
import type { Circumstances, SubjectContext } from "./subject.ts";

export interface PolicyQuestionsParts {
  readonly subjects: Omit<SubjectContext, "callerId">;
  readonly devices: {
    /** @throws device.not-found, device.ambiguous */
    find(text: string): DeviceRow;
    facts(row: DeviceRow): CallerFacts;
  };
  /** The newest that was denied, of that device or of anybody. */
  readonly lastDenial: (deviceId: string | undefined) => AuthorizationRequest | undefined;
  readonly clock: Clock;
}

type Wish = Pick<gatehouse.v1.PolicyExplainRequest, keyof gatehouse.v1.PolicyExplainRequest.$Shape>;

interface Asker {
  readonly granted: Granted;
  readonly context: CallContext<Peer>;
}

/** Stands for an approval that was not given. */
const APPROVAL_ID = "assumed";

export class PolicyQuestions {
  readonly #parts: PolicyQuestionsParts;

  constructor(parts: PolicyQuestionsParts) {
    this.#parts = parts;
  }

  /** @throws device.*, tool.*, usage.bad-argument; authz.denied for another device when its caller may not list devices */
  of(wish: Wish, asker: Asker): AuthorizationRequest {
    if (wish.lastDenial) return this.#lastDenial(wish, asker);
    const { action, wire, remoteAddress, time, approvedBy } = wish;
    this.#refuseHidden(wish, asker);
    const resource = parseResourceName(wish.resource, this.#parts.subjects);
    return {
      principal: this.#principal(wish.device, asker),
      action: parseAction(action),
      resource,
      context: {
        ...{ wire: parseWire(wire), isEarlyData: false, timeMs: time === 0 ? this.#parts.clock.now() : time },
        ...(remoteAddress === "" ? {} : { remoteAddress }),
        ...(approvedBy === ""
          ? {}
          : { approval: { id: APPROVAL_ID, decidedBy: this.#principal(approvedBy, asker) } }),
        ...(wish.role === "" ? {} : { role: parseRole(wish.role) }),
        ...this.#callOf(resource, wish),
      },
    };
  }

  #lastDenial({ device }: Wish, asker: Asker): AuthorizationRequest {
    const deviceId = device === "" ? undefined : this.#principal(device, asker).deviceId;
    if (deviceId === undefined) this.#refuseUnlessMayList(asker);
    const found = this.#parts.lastDenial(deviceId);
    if (found !== undefined) return found;
    throw new GatehouseError("usage.bad-argument", "nothing was denied lately", {
      hint: "say what to explain: gatehouse policy explain ACTION RESOURCE",
    });
  }

  /** Empty: the caller. */
  #principal(device: string, asker: Asker): Principal {
    const { deviceId } = asker.context.peer;
    if (device === "") return { deviceId, ...(asker.context.peer.facts() ?? { roles: [] }) };
    this.#refuseUnlessMayList(asker);
    const row = this.#parts.devices.find(device);
    return { deviceId: parseDeviceId(row.id), ...this.#parts.devices.facts(row) };
  }

  /** What there is of devices and tools is told to who may list them, and to nobody by way of a question. */
  #refuseHidden({ resource }: Wish, asker: Asker): void {
    if (resource.startsWith("device:")) this.#refuseUnlessMayList(asker);
    if (!resource.startsWith("tool:")) return;
    const { gatehouseId } = this.#parts.subjects;
    if (asker.granted.may("tool:list", { kind: "gatehouse", id: gatehouseId })) return;
    throw new GatehouseError("authz.denied", "no policy permits asking about tools", {
      hint: "ask for tool:list on the gatehouse",
    });
  }

  #refuseUnlessMayList({ granted }: Asker): void {
    const { gatehouseId } = this.#parts.subjects;
    if (granted.may("device:list", { kind: "gatehouse", id: gatehouseId })) return;
    throw new GatehouseError("authz.denied", "no policy permits asking about other devices", {
      hint: "ask about this device, or for device:list",
    });
  }

  /** A tool call as it would be bound; with no arguments, one that lacks some is about the tool alone. */
  #callOf(resource: Resource, { action, arguments: given }: Wish): Circumstances {
    if (resource.kind !== "tool" || action !== "tool:run") return {};
    try {
      const call = this.#parts.subjects.bindCall(resource.name, given);
      return { arguments: call.arguments, argumentsHash: call.hash };
    } catch (failure) {
      if (isGatehouseError(failure, "tool.bad-argument") && Object.keys(given).length === 0) return {};
      throw failure;
    }
  }
}

function parseAction(text: string): Action {
  const found = ACTIONS.find((action) => action === text);
  if (found !== undefined) return found;
  throw new GatehouseError("usage.bad-argument", "no such action", {
    hint: "such as secret:reveal, tool:run or device:grant",
  });
}

function parseWire(text: string): "quic" | "grpc" {
  if (text === "" || text === "quic") return "quic";
  if (text === "grpc") return "grpc";
  throw new GatehouseError("usage.bad-argument", "a wire is quic or grpc");
}
