// What a connection is configured with, as JSON Schema: the host checks it and fills in the defaults.

export const SETTINGS_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Node Events",
  type: "object",
  additionalProperties: false,
  required: ["apiKey"],
  properties: {
    apiKey: {
      title: "API key",
      description: "Of the workspace that the events go to.",
      type: "string",
      minLength: 1,
      writeOnly: true,
      examples: ["an-api-key"],
    },
    region: {
      title: "Region",
      description: "Where the workspace is.",
      enum: ["US", "EU"],
      default: "US",
    },
  },
};

const ORIGINS = { US: "https://api.node-events.example", EU: "https://api.eu.node-events.example" };

/** The origin that requests go to. */
export function originOf(settings) {
  return ORIGINS[settings.region];
}
