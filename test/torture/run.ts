/** `npm run torture -- NAME [SEED]`: long runs that print figures; a seed makes a run repeatable. */
const SUITES: Readonly<Record<string, () => Promise<unknown>>> = {
  garbage: () => import("./garbage.ts"),
};

const [name = "garbage"] = process.argv.slice(2);
const suite = SUITES[name];
if (suite === undefined) {
  process.stderr.write(`unknown: ${name}; there is: ${Object.keys(SUITES).join(", ")}\n`);
  process.exitCode = 2;
} else {
  await suite();
}
