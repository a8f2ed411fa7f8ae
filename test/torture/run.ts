/**
 * Long runs that print figures: `npm run torture -- garbage [SEED]`, `floods [SECONDS [KIND…]]`, `soak [SECONDS [SEED]]`,
 * `guessing [WINDOWS [SEED]]`, `calendar`, `wires`, `kill [CYCLES [SEED]]`, `disk [PART [EVERY [SEED]]]`. A seed makes a run repeatable.
 */
const SUITES: Readonly<Record<string, () => Promise<unknown>>> = {
  garbage: () => import("./garbage.ts"),
  floods: () => import("./floods.ts"),
  soak: () => import("./soak.ts"),
  guessing: () => import("./guessing.ts"),
  calendar: () => import("./calendar.ts"),
  kill: () => import("./kill.ts"),
  disk: () => import("./disk.ts"),
  wires: () => import("./wires.ts"),
};

const [name = "garbage"] = process.argv.slice(2);
const suite = SUITES[name];
if (suite === undefined) {
  process.stderr.write(`unknown: ${name}; there is: ${Object.keys(SUITES).join(", ")}\n`);
  process.exitCode = 2;
} else {
  await suite();
}
