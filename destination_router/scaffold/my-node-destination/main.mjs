// The destination: its hooks, answered line by line.

import { ORIGIN, onIdentify, onTrack } from "./mapping.mjs";
import { serve } from "./serve.mjs";
import { SETTINGS_SCHEMA } from "./settings.mjs";

serve(
  // `reads`: the fields at a message's root that it reads beyond those of each call. None: the host
  // notes them as left out.
  { name: "my-destination", version: "0.1.0", reads: [] },
  {
    settings_schema: () => SETTINGS_SCHEMA,
    origins: () => [ORIGIN],
    on_identify: onIdentify,
    on_track: onTrack,
  },
);
