import { GatehouseError } from "../core/index.ts";

/** What a window says to those it does not let in. */

export function burnt(): GatehouseError {
  return new GatehouseError("pairing.code-burnt", "this code was tried wrongly and is dead", {
    hint: "open a new window with `gatehouse pair open`",
  });
}

export function closed(): GatehouseError {
  return new GatehouseError("pairing.closed", "no pairing window is open for this device", {
    hint: "open one with `gatehouse pair open` on the gatehouse",
  });
}

export function expired(): GatehouseError {
  return new GatehouseError("pairing.expired", "the pairing window has expired", {
    hint: "open a new one with `gatehouse pair open`",
  });
}

export function unanswered(): GatehouseError {
  return new GatehouseError("pairing.expired", "nobody at the gatehouse has approved this device in time", {
    hint: "ask its owner to look at `gatehouse pair open` or `gatehouse device approve`, then try again",
  });
}

export function denied(): GatehouseError {
  return new GatehouseError("pairing.denied", "somebody at the gatehouse has refused this device", {
    hint: "ask its owner",
  });
}

export function busy(): GatehouseError {
  return new GatehouseError("pairing.busy", "another device is using this window", { retryAfterMs: 1_000 });
}

export function otherTerms(): GatehouseError {
  return new GatehouseError("pairing.busy", "this device waits for approval under other terms already", {
    hint: "join with the same name as before, or wait until that question is answered",
    retryAfterMs: 1_000,
  });
}

export function superseded(): GatehouseError {
  return new GatehouseError("pairing.closed", "this device has come back over another connection");
}

export function timedOut(): GatehouseError {
  return new GatehouseError("pairing.expired", "the pairing exchange took too long", {
    hint: "try again with the same code",
  });
}

export function wrongSecret(mode: "code" | "uri"): GatehouseError {
  return new GatehouseError("pairing.wrong-code", `the ${mode} is not right`, {
    hint: "a code is good for one try: open a new window with `gatehouse pair open`",
  });
}

/** Only the joiner that was granted gets as far: nothing was guessed, so nothing is burnt. */
export function staleSecret(mode: "code" | "uri"): GatehouseError {
  return new GatehouseError(
    "pairing.wrong-code",
    `the ${mode} is not the one this device has just paired with`,
    {
      hint: "if a new window is open, try again",
    },
  );
}

export function nameTaken(name: string): GatehouseError {
  return new GatehouseError("device.name-taken", `another device is called ${name}`, {
    hint: "choose another name with --name, or take that device's place with --replace",
  });
}

export function notWaiting(hint?: string): GatehouseError {
  return new GatehouseError("pairing.not-waiting", "no such device waits for approval", {
    hint: hint ?? "see who waits with: gatehouse device approve",
  });
}

/** How a window ends without having paired. */
export type Over = "burnt" | "expired" | "closed";

export function overError(how: Over): GatehouseError {
  switch (how) {
    case "burnt":
      return burnt();
    case "expired":
      return expired();
    case "closed":
      return closed();
  }
}
