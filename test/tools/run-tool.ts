/** Runs a program as a tool, and prints what it says; for tests that need a daemon started in a certain way. */
import { argv, stdout } from "node:process";
import { callOf, optionsOf, outcomeOf, runnerOf } from "./support.ts";

const outcome = await outcomeOf(runnerOf().run(callOf([argv[2] ?? ""]), optionsOf()));
stdout.write(outcome.stdout + outcome.stderr);
