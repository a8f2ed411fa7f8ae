/** Sees each connection that the native library accepts in this process, to count the ids it keeps in stock. */
import { native } from "@matrixai/quic";

type Connection = ReturnType<typeof native.quiche.Connection.accept>;

const accepted: WeakRef<Connection>[] = [];
let isWatching = false;

/** From now on; before the server is made. */
export function watchConnectionIds(): void {
  const { Connection } = native.quiche;
  native.quiche.Connection = {
    connect: Connection.connect.bind(Connection),
    accept: (...args) => {
      const connection = Connection.accept(...args);
      accepted.push(new WeakRef(connection));
      return connection;
    },
  };
  isWatching = true;
}

/** The most that any living connection has. */
export function connectionIdsAlive(): number | undefined {
  if (!isWatching) return undefined;
  const alive = accepted
    .map((reference) => reference.deref())
    .filter((connection) => connection !== undefined);
  return Math.max(
    0,
    ...alive.filter((connection) => !connection.isClosed()).map((one) => one.activeSourceCids()),
  );
}
