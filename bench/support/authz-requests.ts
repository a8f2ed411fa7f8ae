/** What devices of several teams ask a gatehouse for: most of it allowed, some forbidden, some permitted by nothing. */
import type {
  Action,
  AuthorizationRequest,
  CallContext,
  Principal,
  Resource,
} from "../../src/authz/index.ts";
import { idOf, NOON_MS } from "../../test/authz/fixture.ts";
import { networkOf, robotOf, teamName } from "./authz-policies.ts";

const DEVICES_OF_A_TEAM = 7;
const DAY_S = 86_400;

type Asked = Omit<AuthorizationRequest, "context"> & { readonly context?: Partial<CallContext> };

/** Every one of `count` differs from all others in what its decision is remembered by. */
export function benchRequests(teams: number, count: number): readonly AuthorizationRequest[] {
  return Array.from({ length: count }, (_, index) => {
    const team = Math.floor(index / KINDS.length) % teams;
    const kind = KINDS[index % KINDS.length];
    if (kind === undefined) throw new Error("there is no kind of request");
    const asked = kind(team, index, teams);
    const plain: CallContext = {
      ...{ wire: "quic", isEarlyData: index % 31 === 0 },
      // Anywhere in the day, whatever the time was a call before.
      timeMs: NOON_MS + ((index * 7_919) % DAY_S) * 1_000,
      remoteAddress: `${networkOf(index % 11 === 0 ? team + 1 : team)}.3.${index % 250}`,
    };
    return { ...asked, context: { ...plain, ...asked.context } };
  });
}

const KINDS: readonly ((team: number, index: number, teams: number) => Asked)[] = [
  (team, index) => asked(member(team, index), "secret:reveal", inTeam(team, `ci/registry/token-${index}`)),
  (team, index) => asked(member(team, index), "secret:reveal", inTeam(team, `production/db-${index}`)),
  (team, index) => asked(robot(team), "secret:use", inTeam(team, `ci/deploy/key-${index}`)),
  (team, index) => asked(member(team, index), "secret:write", inTeam(team, `ci/cache-${index}`)),
  (team, index) => ({
    ...asked(member(team, index), "tool:run", toolOf(team)),
    context: { arguments: { environment: "staging", version: `v1.0.${index}` } },
  }),
  (team, index) => ({
    ...asked(member(team, index), "tool:run", toolOf(team)),
    context: {
      arguments: { environment: "production", version: `v1.0.${index}` },
      ...(index % 20 < 10 ? { approval: { id: `a${index}`, decidedBy: auditor() } } : {}),
    },
  }),
  (team, index) => asked(lead(team), "secret:write", inTeam(team, `production/db-${index}`)),
  (team, index, teams) =>
    asked(member(team, index), "secret:reveal", inTeam((team + 1) % (teams + 1), `ci/token-${index}`)),
  (team, index) => {
    const principal = member(team, index);
    return asked(principal, "secret:write", secret(`devices/${principal.deviceId}/state-${index}`));
  },
  (team, index) =>
    index % 30 < 10
      ? asked(owner(), "secret:destroy", inTeam(team, `production/old-${index}`))
      : asked(member(team, index), "secret:list", { kind: "folder", path: `shared/lists/day-${index}` }),
];

function asked(principal: Principal, action: Action, resource: Resource): Asked {
  return { principal, action, resource };
}

function member(team: number, index: number): Principal {
  const name = `${teamName(team)} ${index % DEVICES_OF_A_TEAM}`;
  return {
    ...{ deviceId: idOf(name), name, roles: ["member", teamName(team)] },
    user: { id: `user of ${name}`, roles: ["staff"] },
  };
}

function lead(team: number): Principal {
  return {
    ...{ deviceId: idOf(`${teamName(team)} lead`), name: "lead", roles: ["member"] },
    user: { id: `${teamName(team)}-lead`, roles: ["staff", teamName(team)] },
  };
}

function robot(team: number): Principal {
  return { deviceId: robotOf(team), name: "robot", roles: ["ci"] };
}

function owner(): Principal {
  return { deviceId: idOf("owner"), name: "owner", roles: ["owner"] };
}

function auditor(): Principal {
  return { deviceId: idOf("auditor"), name: "auditor", roles: ["security"] };
}

function inTeam(team: number, path: string): Resource {
  return secret(`teams/${teamName(team)}/${path}`);
}

function secret(path: string): Resource {
  return { kind: "secret", path };
}

function toolOf(team: number): Resource {
  return { kind: "tool", name: `${teamName(team)}-deploy`, groups: ["deployments", teamName(team)] };
}
