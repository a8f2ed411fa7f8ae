export { METHODS } from "../gen/index.ts";
export { Client, type ConnectOptions, connect } from "./connect.ts";
export { type Joined, type JoinOptions, joinGatehouse } from "./join.ts";
export { type Remote, Remotes } from "./remotes.ts";
