// What the vendor's answer means for each message of its request.

import { parse } from "./json.mjs";

/**
 * Read `{"errors": [{"index": 3, "reason": "..."}]}`: those records are refused, and the vendor has
 * the others. Where it says no such thing, the host reads the status as most vendors mean it.
 */
export function onResponse(request, response) {
  if (response.status === 400 && /invalid api key/i.test(response.body)) {
    return { result: "held", code: "invalid_api_key", detail: "the vendor does not know the key" };
  }
  if (response.status !== 200) return {};
  const outcomes = {};
  for (const [index, reason] of refused(response.body)) {
    for (const id of request.items?.[index] ?? []) {
      outcomes[id] = { result: "rejected", code: "invalid_record", detail: reason };
    }
  }
  return outcomes;
}

function refused(body) {
  let errors;
  try {
    errors = parse(body)?.errors;
  } catch {
    return [];
  }
  if (!Array.isArray(errors)) return [];
  return errors
    .filter((error) => Number.isInteger(error?.index))
    .map(({ index, reason }) => [index, typeof reason === "string" ? reason.slice(0, 200) : ""]);
}
