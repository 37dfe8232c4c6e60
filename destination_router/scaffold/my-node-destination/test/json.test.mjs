import assert from "node:assert/strict";
import { test } from "node:test";
import { NumberText, parse, stringify } from "../json.mjs";

const EXACT = [
  '{"a":9007199254740993,"b":1.0,"c":1,"d":-0,"e":0.1,"f":1e400,"g":123456789012345678901234567890}',
  '{"a":"1.0","b":"\\"1.0\\\\","c":"9007199254740993"}',
  '["1.50",1.50,-1.0E+5,[],{},null,true]',
];

for (const text of EXACT) {
  test(`${text} is written as it was read`, () => assert.equal(stringify(parse(text)), text));
}

test("ordinary numbers are JavaScript's own", () => {
  assert.deepEqual(parse('{"price":1.0,"count":2}').count, 2);
  assert.ok(parse('{"price":1.0}').price instanceof NumberText);
  assert.equal(String(parse("[9007199254740993]")[0]), "9007199254740993");
});

test("a megabyte of text is no number", () => {
  const text = JSON.stringify({ a: "1.0 ".repeat(250_000) });
  assert.equal(stringify(parse(text)), text);
});
