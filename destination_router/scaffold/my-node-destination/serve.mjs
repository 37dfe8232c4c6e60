// The protocol: a line of JSON in, a line of JSON out (docs/programs.md of destination-router). Nothing else may be written
// to standard output; console.error is yours.

import { createInterface } from "node:readline";
import { parse, stringify } from "./json.mjs";

const PROTOCOL = 1;

/** Thrown by a hook to refuse a message: a code, a sentence and the field at fault. */
export class Reject extends Error {
  constructor(code, detail, path = "") {
    super(detail);
    Object.assign(this, { code, detail, path });
  }
}

/** Returned by a hook in place of []: nothing is sent on purpose, and this is why. */
export class Ignored {
  constructor(reason, notes = []) {
    Object.assign(this, { reason, notes });
  }
}

/** Thrown by `configure`: settings that are valid each but not together. */
export class Invalid extends Error {}

/**
 * Answer lines until the host says stop, or ends.
 *
 * @param about { name, version, reads } of the destination
 * @param hooks its hooks by name: `settings_schema()`, `on_track(message, settings)`, ...
 */
export function serve(about, hooks) {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on("line", (line) => {
    const asked = parse(line);
    process.stdout.write(`${stringify({ id: asked.id, ...answer(about, hooks, asked) })}\n`);
    if (asked.call === "stop") lines.close();
  });
  lines.on("close", () => process.stdin.destroy()); // the host has ended: so do we
}

function answer(about, hooks, asked) {
  try {
    return { value: value(about, hooks, asked) };
  } catch (error) {
    return error instanceof Invalid ? { invalid: error.message } : { error: fault(error) };
  }
}

function value(about, hooks, { call, id: _, ...given }) {
  switch (call) {
    case "hello":
      return { protocol: PROTOCOL, ...about, hooks: Object.keys(hooks) };
    case "stop":
      return null;
    case "map":
      return given.messages.map((each) => made(hooks, each, given.settings));
    case "import_settings":
    case "settings_from":
      return hooks[call](given.system, given.config);
    case "pack":
      return hooks.pack(given.requests, given.settings);
    case "on_response":
      return hooks.on_response(given.request, given.response, given.settings);
    default:
      return hooks[call](given.settings);
  }
}

function made(hooks, { message, mapped = {} }, settings) {
  try {
    const result = hooks[`on_${message.type}`](message, settings, mapped);
    if (result instanceof Ignored) return { ignored: { ...result } };
    return { requests: result };
  } catch (error) {
    if (!(error instanceof Reject)) return { error: fault(error) };
    const { code, detail, path } = error;
    return { reject: { code, detail, path } };
  }
}

/** Say what failed and where. The words stay with the suite: a router does not log them. */
function fault(error) {
  const place = /([\w.-]+:\d+):\d+\)?$/m.exec(String(error?.stack ?? ""));
  return {
    type: String(error?.name ?? "Error"),
    at: place?.[1] ?? "",
    detail: String(error?.message ?? error).slice(0, 1000),
  };
}

