import { type Clock, GatehouseError, LIMITS } from "../core/index.ts";
import { type gatehouse, METHODS, type MethodDefinition } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { DeviceRow, Mutation, UserRow } from "../vault/index.ts";
import type { Granted, Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import { parseRole } from "./names.ts";
import type { Peer } from "./peer.ts";

/** The people of a gatehouse. */
export interface UserDirectory {
  /** In order of name. */
  list(): readonly UserRow[];
  /** Ids of the devices of each. */
  devicesOf(name: string): readonly Pick<DeviceRow, "id">[];
  /** @throws user.exists, vault.full */
  add(user: UserRow, mutation: Mutation<UserRow>): Promise<UserRow>;
  /** @throws user.not-found */
  remove(name: string, mutation: Mutation<UserRow>): Promise<UserRow>;
  /** @throws user.not-found, usage.bad-argument */
  grant(name: string, role: string, mutation: Mutation<UserRow>): Promise<UserRow>;
  /** @throws user.not-found */
  ungrant(name: string, role: string, mutation: Mutation<UserRow>): Promise<UserRow>;
}

export interface UsersServiceParts {
  readonly guard: Guard;
  readonly users: UserDirectory;
  readonly clock: Clock;
}

const NAME = /^[a-z][a-z0-9._-]*$/;

/** @throws usage.bad-argument */
export function parseUserName(name: string): string {
  if (NAME.test(name) && name.length <= LIMITS.userNameBytes) return name;
  throw new GatehouseError("usage.bad-argument", "not a user's name", {
    hint: `a lower-case word such as ada, of at most ${LIMITS.userNameBytes} of [a-z0-9._-]`,
  });
}

/** Each role is decided like one that is given by itself. @throws authz.denied */
export function refuseUnlessMayGive(granted: Granted, roles: readonly string[]): void {
  for (const role of roles) {
    const decision = granted.decide({ role });
    if (decision.kind !== "allow") throw granted.denial(decision);
  }
}

export function usersService(router: Router<Peer>, { guard, users, clock }: UsersServiceParts): void {
  const record = ({ name, roles, addedAt }: UserRow) => ({
    ...{ name, roles: [...roles], addedAt },
    devices: users.devicesOf(name).map(({ id }) => id),
  });

  router.handle(METHODS.Users.List, () => ({ users: users.list().map(record) }));

  const handle = <Fields, Request extends Fields & { readonly name: string }>(
    method: MethodDefinition<"unary", Fields, Request, RecordFields, RecordMessage>,
    change: (name: string, request: Request, mutation: Mutation<UserRow>) => Promise<UserRow>,
    detailOf: (request: Request) => Readonly<Record<string, string>> = () => ({}),
  ): void => {
    router.handle(method, (request, context) => {
      const name = parseUserName(request.name);
      const detail = { user: name, ...detailOf(request) };
      return mutate(method, {
        ...{ context, request, granted: guard.granted(context), reply: record, detail },
        change: (mutation) => change(name, request, mutation),
      });
    });
  };
  router.handle(METHODS.Users.Add, async (request, context) => {
    const name = parseUserName(request.name);
    const roles = parseRoles(request.roles);
    const granted = guard.granted(context);
    return await mutate(METHODS.Users.Add, {
      ...{ context, request, granted, reply: record },
      event: () => {
        refuseUnlessMayGive(granted, roles);
        return granted.event({ user: name, roles: roles.join(" ") });
      },
      change: (mutation) => users.add({ name, roles, addedAt: clock.now() }, mutation),
    });
  });
  router.handle(METHODS.Users.Remove, (request, context) => {
    const name = parseUserName(request.name);
    const granted = guard.granted(context);
    return mutate(METHODS.Users.Remove, {
      ...{ context, request, granted, reply: record },
      event: () => {
        // Their devices lose them.
        refuseUnlessMayGive(granted, users.list().find((user) => user.name === name)?.roles ?? []);
        return granted.event({ user: name });
      },
      change: (mutation) => users.remove(name, mutation),
    });
  });
  handle(
    METHODS.Users.Grant,
    (name, { role }, mutation) => users.grant(name, parseRole(role), mutation),
    ({ role }) => ({ role: parseRole(role) }),
  );
  handle(
    METHODS.Users.Ungrant,
    (name, { role }, mutation) => users.ungrant(name, parseRole(role), mutation),
    ({ role }) => ({ role: parseRole(role) }),
  );
}

type RecordFields = gatehouse.v1.UserRecord.$Properties;
type RecordMessage = gatehouse.v1.UserRecord;

function parseRoles(roles: readonly string[]): readonly string[] {
  if (roles.length > LIMITS.rolesPerDevice)
    throw new GatehouseError("usage.bad-argument", `a user has at most ${LIMITS.rolesPerDevice} roles`);
  return roles.map(parseRole);
}
