// JSON whose numbers stay as they are written: 9007199254740993 is no float, and 1.0 is not 1.
//
// JSON.parse makes a float of every number. A number that would not survive that becomes a
// NumberText here, which holds its text and is written as it was read. All others are numbers.

import { randomUUID } from "node:crypto";

const MARK = `${randomUUID()}:`; // no text of a sender's begins with it
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/gs;
const MARKED = new RegExp(`"${MARK}([^"]*)"`, "g");
const SUSPECT = /\d{16}|\d\.\d*0(?!\d)|\d[eE]|\d{9}\.\d|\.\d{9}|-0/;

/** A number that JavaScript's own cannot hold. */
export class NumberText {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return MARK + this.text;
  }
}

/** Read JSON. */
export function parse(text) {
  if (!SUSPECT.test(text)) return JSON.parse(text);
  const marked = text.replace(TOKENS, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : `"${MARK}${token}"`,
  );
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK)
      ? new NumberText(value.slice(MARK.length))
      : value,
  );
}

/** Write JSON. */
export function stringify(value) {
  return JSON.stringify(value).replace(MARKED, "$1");
}
