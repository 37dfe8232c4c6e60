"""The paths of Heap's server-side API that messages go to [developers.heap.io/reference]."""

TRACK = "/api/track"
PARTNER_TRACK = "/api/integrations/track"
PARTNER_USERS = "/api/integrations/add_user_properties"
ADD_USER_PROPERTIES = "/api/add_user_properties"
ADD_ACCOUNT_PROPERTIES = "/api/add_account_properties"
IDENTIFY = "/api/v1/identify"

PATHS = (
    *(TRACK, PARTNER_TRACK, PARTNER_USERS),
    *(ADD_USER_PROPERTIES, ADD_ACCOUNT_PROPERTIES, IDENTIFY),
)
"""All of them."""
