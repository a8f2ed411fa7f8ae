import { createOnce } from "../../../src/files/index.ts";

/** Waits for a byte on standard input, then tries to be the first to create the file named in argv. */
process.stdout.write("ready\n");
process.stdin.once("data", () => {
  void createOnce(process.argv[2] ?? "", new Uint8Array(100_000).fill(process.pid % 256)).then((outcome) => {
    process.stdout.write(`${outcome}\n`);
    process.stdin.destroy();
  });
});
