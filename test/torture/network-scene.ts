/** A network of this process's own, whose packets it can drop: namespaces and nftables, which take root. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const INSIDE = "GATEHOUSE_TORTURE_INSIDE";
const TABLE = "gatehouse_torture";

/** Runs this very command again in namespaces of its own, and ends with it; returns in there. */
export function enterOwnNetwork(): void {
  if (process.env[INSIDE] === "1") return;
  const own = ["--net", "--mount", "--propagation", "private", "--"];
  const { status, error } = spawnSync(
    "unshare",
    [...own, process.execPath, ...process.execArgv, ...process.argv.slice(1)],
    {
      env: { ...process.env, [INSIDE]: "1" },
      stdio: "inherit",
    },
  );
  if (error !== undefined) throw new Error(`no network of its own: ${error.message}`);
  process.exit(status ?? 1);
}

export class NetworkScene {
  readonly #port: number;
  readonly #hosts: string;

  constructor(port: number) {
    this.#port = port;
    this.#hosts = join(mkdtempSync(join(tmpdir(), "gatehouse-hosts-")), "hosts");
    execFileSync("ip", ["link", "set", "lo", "up"]);
    writeFileSync(this.#hosts, "127.0.0.1 localhost\n");
    execFileSync("mount", ["--bind", this.#hosts, "/etc/hosts"]);
    this.#nft(`add table inet ${TABLE}`);
    this.#nft(`add chain inet ${TABLE} in { type filter hook input priority 0 ; }`);
  }

  /** Both ways, from now on; replaces what was dropped before. */
  drop(...protocols: readonly ("udp" | "tcp")[]): void {
    this.#nft(`flush chain inet ${TABLE} in`);
    for (const protocol of protocols) {
      this.#nft(`add rule inet ${TABLE} in ${protocol} dport ${this.#port} drop`);
      this.#nft(`add rule inet ${TABLE} in ${protocol} sport ${this.#port} drop`);
    }
  }

  /** Where a name leads. */
  name(name: string, address: string): void {
    writeFileSync(this.#hosts, `127.0.0.1 localhost\n${address} ${name}\n`);
  }

  #nft(rule: string): void {
    execFileSync("nft", rule.split(" "));
  }
}
