import assert from "node:assert/strict";
import { test } from "node:test";
import { onTrack } from "../mapping.mjs";

test("a track is one event", () => {
  const message = { messageId: "m-1", userId: "ada", event: "Program Published", properties: {} };
  const [request, ...more] = onTrack(message, { apiKey: "an-api-key" });
  assert.equal(request.json.event, "Program Published");
  assert.deepEqual(more, []);
});
