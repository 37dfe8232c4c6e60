import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_RECORDS, onTrack, pack } from "../mapping.mjs";

const SETTINGS = { apiKey: "k", region: "US" };

test("a window of events is as few requests as the vendor allows", () => {
  const singles = Array.from({ length: 2 * MOST_RECORDS + 1 }, (_, number) => ({
    ...onTrack({ type: "track", messageId: `m-${number}`, userId: "ada", event: "E" }, SETTINGS)[0],
    messageIds: [`m-${number}`],
  }));
  const packed = pack(singles);
  assert.deepEqual(
    packed.map((request) => request.json.events.length),
    [MOST_RECORDS, MOST_RECORDS, 1],
  );
  assert.deepEqual(packed.flatMap((request) => request.messageIds), singles.map((s) => s.messageIds[0]));
});
