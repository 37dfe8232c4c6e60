// What a connection is configured with, as JSON Schema: the host checks it and fills in the defaults.

export const SETTINGS_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "My Destination",
  type: "object",
  additionalProperties: false,
  required: ["apiKey"],
  properties: {
    apiKey: {
      title: "API key",
      description: "Where the vendor shows it.",
      type: "string",
      minLength: 1,
      writeOnly: true,
      examples: ["an-api-key"],
    },
  },
};
