/** Requests and policies for property tests: few values, so that they meet. */
import fc from "fast-check";
import type {
  Action,
  AuthorizationRequest,
  CallContext,
  DeviceFacts,
  Principal,
  Resource,
} from "../../src/authz/index.ts";
import { idOf, NOON_MS } from "./fixture.ts";

export const DEVICES = ["phone", "node"] as const;
const pathOf = (device: string): string => `devices/${idOf(device)}`;

const facts: fc.Arbitrary<DeviceFacts> = fc.record(
  {
    roles: fc.subarray(["guest", "member", "owner", "security"]),
    name: fc.constantFrom("n", "m"),
    user: fc.record({
      id: fc.constantFrom("ada", "bob"),
      roles: fc.subarray(["owner", "guest", "security"]),
    }),
  },
  { requiredKeys: ["roles"] },
);

export const principal: fc.Arbitrary<Principal> = fc
  .tuple(fc.constantFrom(...DEVICES), facts)
  .map(([device, of]) => ({ deviceId: idOf(device), ...of }));

export const resource: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .constantFrom(
      ...["shared/db", "shared/ci/token", "shared", "other"],
      ...[`${pathOf("phone")}/a`, `${pathOf("node")}/a/b`],
    )
    .map((path) => ({ kind: "secret", path }) as const),
  fc
    .constantFrom("", "shared", "shared/ci", pathOf("phone"))
    .map((path) => ({ kind: "folder", path }) as const),
  fc
    .tuple(fc.constantFrom(...DEVICES), facts)
    .map(([device, of]) => ({ kind: "device", id: idOf(device), ...of }) as const),
  fc
    .tuple(
      fc.constantFrom("deploy", "test"),
      fc.option(fc.subarray(["production", "ci"]), { nil: undefined }),
    )
    .map(([name, groups]) => ({ kind: "tool", name, groups }) as const),
  fc.constant({ kind: "audit-log" } as const),
);

export const context: fc.Arbitrary<CallContext> = fc.record(
  {
    wire: fc.constantFrom("quic", "grpc"),
    timeMs: fc.constantFrom(NOON_MS, NOON_MS + 999, NOON_MS + 1_000),
    isEarlyData: fc.boolean(),
    remoteAddress: fc.constantFrom("192.0.2.7", "198.51.100.1"),
    approval: fc.record({
      id: fc.constantFrom("a1", "a2"),
      decidedBy: fc.oneof(fc.constantFrom("phone", "laptop").map(idOf), principal, laptop()),
    }),
    argumentsHash: fc.constantFrom("00", "ff"),
    arguments: fc.dictionary(
      fc.constantFrom("environment", "__proto__", "x"),
      fc.constantFrom("production", "", "x"),
      {
        maxKeys: 2,
      },
    ),
    role: fc.constantFrom("owner", "guest"),
  },
  { requiredKeys: ["wire", "timeMs", "isEarlyData"] },
);

/** An approver who is no caller, so that its facts contradict nobody's. */
function laptop(): fc.Arbitrary<Principal> {
  return facts.map((of) => ({ deviceId: idOf("laptop"), ...of }));
}

const ACTIONS_OF: Readonly<Record<Resource["kind"], readonly Action[]>> = {
  secret: ["secret:list", "secret:reveal", "secret:write"],
  folder: ["secret:list"],
  device: ["device:renew-self", "device:rename"],
  tool: ["tool:run", "tool:list"],
  "audit-log": ["audit:read"],
  gatehouse: ["gatehouse:ping"],
  policy: ["policy:read"],
  profile: ["profile:use"],
};

/** One in ten is about something that the action does not apply to. */
export const asked: fc.Arbitrary<AuthorizationRequest> = fc
  .record({ principal, resource, context, die: fc.nat({ max: 9 }) })
  .chain(({ die, ...rest }) => {
    const actions = die === 0 ? ACTIONS_OF.profile : ACTIONS_OF[rest.resource.kind];
    return fc.constantFrom(...actions).map((action) => ({ ...rest, action }));
  });

const PERMITS: Readonly<Record<string, string>> = {
  owners: 'permit (principal in Role::"owner", action, resource);',
  shared: 'permit (principal, action in Action::"read", resource in Folder::"shared");',
  ci: 'permit (principal, action in [Action::"read", Action::"write"], resource in Folder::"shared/ci");',
  own: "permit (principal, action, resource) when { resource has owner && resource.owner == principal };",
  named: 'permit (principal, action, resource) when { principal has name && principal.name == "n" };',
  self: "permit (principal, action, resource is Device) when { resource == principal };",
  noon: 'permit (principal, action, resource) when { context.time <= datetime("2026-11-23T12:00:00Z") };',
  ada: 'permit (principal in User::"ada", action, resource);',
  production: 'permit (principal, action == Action::"tool:run", resource in ToolGroup::"production");',
  environment:
    'permit (principal, action, resource) when { context has arguments && context.arguments.hasTag("environment") && context.arguments.getTag("environment") == "production" };',
  approved:
    'permit (principal, action, resource) when { context has approval && context.approval.decidedBy in Role::"security" && context.approval.decidedBy != principal };',
  late: 'permit (principal in Role::"guest", action, resource) when { -9223372036854775807 - 2 < 0 };',
};

const FORBIDS: Readonly<Record<string, string>> = {
  proto:
    'forbid (principal, action, resource) when { context has arguments && context.arguments.hasTag("__proto__") };',
  first:
    'forbid (principal, action, resource) when { context has approval.id && context.approval.id == "a2" };',
  hash: 'forbid (principal, action, resource) when { context has argumentsHash && context.argumentsHash == "ff" };',
  granted: 'forbid (principal, action, resource) when { context has role && context.role == "owner" };',
  wire: 'forbid (principal, action, resource) when { context.wire == "grpc" };',
  early: 'forbid (principal, action in Action::"write", resource) when { context.isEarlyData };',
  lan: 'forbid (principal, action, resource) unless { context has remoteAddress && context.remoteAddress.isInRange(ip("192.0.2.0/24")) };',
  overflow: 'forbid (principal in Role::"guest", action, resource) when { 9223372036854775807 + 1 > 0 };',
  whole:
    'forbid (principal, action, resource) when { [context].contains(context) && context.wire == "grpc" };',
};

/** A set of policies by id, of which some fail when they are evaluated. */
export const policySet: fc.Arbitrary<Readonly<Record<string, string>>> = fc
  .tuple(fc.subarray(Object.entries(PERMITS)), fc.subarray(Object.entries(FORBIDS), { maxLength: 2 }))
  .map(([permits, forbids]) => Object.fromEntries([...permits, ...forbids]));

/** Conditions that fit any request; some fail when they are evaluated, some not always. */
const ATOMS = [
  ...[
    'context.wire == "quic"',
    "context.isEarlyData",
    'principal in Role::"member"',
    'principal in User::"ada"',
  ],
  ...['principal has name && principal.name == "n"', "context has approval", "context has role"],
  ...['context has approval && context.approval.decidedBy in Role::"security"'],
  ...['context has arguments && context.arguments.hasTag("environment")'],
  ...['context.time < datetime("2026-11-23T12:00:01Z")', '"a*" like "a\\*"', "resource == principal"],
  ...['context has remoteAddress && context.remoteAddress.isInRange(ip("192.0.2.0/24"))'],
  ...[
    "9223372036854775807 + 1 > 0",
    "2 * 3 - 1 == 5",
    "-(7) < 7",
    "[1, 2].contains(2)",
    'Folder::"a".path == "a"',
  ],
  ...['context.time.offset(duration("106751991167d")) > context.time', '{"a b": 1}["a b"] == 1'],
  ...[
    "if context.isEarlyData then true else context has argumentsHash",
    'context has "role"',
    "true",
    "false",
  ],
];

const condition: fc.Arbitrary<string> = fc.letrec<{ readonly tree: string; readonly atom: string }>(
  (tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      tie("atom"),
      fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a}) && (${b})`),
      fc.tuple(tie("tree"), tie("tree")).map(([a, b]) => `(${a}) || (${b})`),
      tie("tree").map((a) => `!(${a})`),
    ),
    atom: fc.constantFrom(...ATOMS),
  }),
).tree;

const scope: fc.Arbitrary<string> = fc
  .tuple(
    fc.constantFrom(
      "principal",
      'principal in Role::"owner"',
      'principal in User::"bob"',
      "principal is Device",
    ),
    fc.constantFrom(
      "action",
      'action in Action::"read"',
      'action == Action::"tool:run"',
      'action in [Action::"write"]',
    ),
    fc.constantFrom(
      "resource",
      "resource is Tool",
      'resource in Folder::"shared"',
      'resource in ToolGroup::"ci"',
    ),
  )
  .map((parts) => `(${parts.join(", ")})`);

/** Cedar text of one policy that Cedar parses; the schema may still refuse it. */
export const policy: fc.Arbitrary<string> = fc
  .record({
    effect: fc.constantFrom("permit", "permit", "permit", "forbid"),
    scope: fc.oneof(fc.constant("(principal, action, resource)"), scope),
    conditions: fc.array(fc.tuple(fc.constantFrom("when", "unless"), condition), { maxLength: 2 }),
  })
  .map(({ effect, scope: of, conditions }) =>
    [`${effect} ${of}`, ...conditions.map(([kind, body]) => `${kind} { ${body} }`)].join(" ").concat(";"),
  );
