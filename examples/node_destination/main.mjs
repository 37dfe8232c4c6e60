// The destination: its hooks, answered line by line.

import { onResponse } from "./answers.mjs";
import { onAlias, onGroup, onIdentify, onTrack, onView, pack } from "./mapping.mjs";
import { serve } from "./serve.mjs";
import { SETTINGS_SCHEMA, originOf } from "./settings.mjs";

serve(
  // It sends the context whole, and with it the traits there; of other fields at the root it
  // reads none, and the host notes those.
  { name: "node-events", version: "0.1.0", reads: ["context.traits"] },
  {
    settings_schema: () => SETTINGS_SCHEMA,
    display_names: () => ["Node Events"],
    origins: (settings) => [originOf(settings)],
    quotas: () => [{ name: "requests_per_second", limit: 100, period: 1, unit: "requests" }],
    on_identify: onIdentify,
    on_track: onTrack,
    on_page: onView,
    on_screen: onView,
    on_group: onGroup,
    on_alias: onAlias,
    pack,
    on_response: onResponse,
  },
);
