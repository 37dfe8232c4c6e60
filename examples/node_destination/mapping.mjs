// A message and settings in, requests out. Pure: no network, no files, no clock.

import { Ignored, Reject } from "./serve.mjs";
import { originOf } from "./settings.mjs";

export const MOST_RECORDS = 50; // that the vendor takes in one request

/** Who a user is: a record of its own. */
export function onIdentify(message, settings) {
  return [request("users", { ...person(message), traits: message.traits }, settings)];
}

/** What a user did. */
export function onTrack(message, settings) {
  if (!message.event?.trim()) {
    throw new Reject("missing_event", "it is blank or missing: name what the user did", "event");
  }
  return [event(message, { event: message.event }, settings)];
}

/** A page or a screen that a user saw: an event too. */
export function onView(message, settings) {
  const { name, category } = message;
  const seen = message.type === "page" ? "Page viewed" : "Screen viewed";
  return [event(message, { event: seen, name, category }, settings)];
}

/** The account that a user belongs to. */
export function onGroup(message, settings) {
  if (!message.groupId) {
    throw new Reject("missing_group", "it is blank or missing: name the group", "groupId");
  }
  const record = { ...person(message), groupId: message.groupId, traits: message.traits };
  return [request("groups", record, settings)];
}

/** Two ids of one user: the vendor knows them by the records that carry both. */
export function onAlias(message) {
  const notes = message.previousId
    ? [{ code: "dropped", path: "previousId", detail: "the vendor ties ids by records with both" }]
    : [];
  return new Ignored("the vendor has no use for alias calls: send an identify with both ids", notes);
}

/** Put requests that follow each other and go to one place together. The order stays. */
export function pack(requests) {
  const packed = [];
  for (const single of requests) {
    const last = packed.at(-1);
    const [list] = Object.keys(single.json);
    if (last?.url === single.url && last.json[list].length < MOST_RECORDS) {
      last.json[list].push(...single.json[list]);
      last.messageIds.push(...single.messageIds);
      last.items.push(single.messageIds);
      last.notes.push(...(single.notes ?? []));
    } else {
      packed.push({
        ...single,
        json: { [list]: [...single.json[list]] },
        messageIds: [...single.messageIds],
        items: [single.messageIds],
        notes: [...(single.notes ?? [])],
      });
    }
  }
  return packed;
}

function event(message, fields, settings) {
  const { properties } = message;
  return request("events", { ...person(message), ...fields, properties }, settings);
}

function person({ messageId, userId, anonymousId, timestamp, context }) {
  if (!userId && !anonymousId) {
    throw new Reject("missing_identity", "send a userId or an anonymousId", "userId");
  }
  return { id: messageId, userId, anonymousId, at: timestamp, context };
}

function request(list, record, settings) {
  return {
    url: `${originOf(settings)}/v1/${list}`,
    auth: { scheme: "bearer", token: settings.apiKey },
    json: { [list]: [record] },
  };
}
