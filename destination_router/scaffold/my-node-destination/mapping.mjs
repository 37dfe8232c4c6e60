// A message and settings in, requests out. Pure: no network, no files, no clock. The host does all I/O.

import { Reject } from "./serve.mjs";

export const ORIGIN = "https://api.my-destination.example";

/** Who a user is. */
export function onIdentify(message, settings) {
  return [request("users", { user: userOf(message), traits: message.traits }, message, settings)];
}

/** What a user did. */
export function onTrack(message, settings) {
  if (!message.event?.trim()) {
    throw new Reject("missing_event", "it is blank or missing: name what the user did", "event");
  }
  const { event, properties } = message;
  return [request("events", { user: userOf(message), event, properties }, message, settings)];
}

function userOf({ userId, anonymousId }) {
  if (!userId && !anonymousId) {
    throw new Reject("missing_identity", "send a userId or an anonymousId", "userId");
  }
  return userId ?? anonymousId;
}

function request(place, body, { messageId, timestamp }, settings) {
  return {
    url: `${ORIGIN}/${place}`,
    auth: { scheme: "bearer", token: settings.apiKey },
    json: { id: messageId, ...body, time: timestamp },
  };
}
