"""Whether the items of the two forms are valid: groups and user mappings.

Sources: group-identify and user-mapping of https://amplitude.com/docs/apis/analytics.
"""

from typing import Any

from amplitude_destination.simulator import limits
from amplitude_destination.simulator.events import is_properties, is_text

_GROUP = {"group_type", "group_value", "group_properties"}
_OPERATIONS = {"$set", "$setOnce", "$add", "$append", "$prepend", "$unset"}


def group_problem(groups: list[Any]) -> str | None:
    """Say what is wrong with the groups of one request."""
    if len(groups) > limits.MAX_GROUPS:
        return f"more than {limits.MAX_GROUPS} groups"
    for index, group in enumerate(groups):
        if not isinstance(group, dict) or group.keys() != _GROUP:
            return f"group {index} should have {', '.join(sorted(_GROUP))}"
        if not is_text(group["group_type"]) or not is_text(group["group_value"]):
            return f"group {index}: its type and value should be text"
        properties = group["group_properties"]
        if not is_properties(properties):
            return f"group {index}: group_properties should be an object"
        operations = {key for key in properties if key.startswith("$")}
        if operations and (operations != properties.keys() or not operations <= _OPERATIONS):
            return f"group {index}: operations and properties should not be mixed"
    if sum(len(group["group_properties"]) for group in groups) > limits.MAX_GROUP_PROPERTIES:
        return f"more than {limits.MAX_GROUP_PROPERTIES} properties"
    return None


def mapping_problem(mappings: list[Any]) -> str | None:
    """Say what is wrong with the mappings of one request."""
    if len(mappings) > limits.MAX_MAPPINGS:
        return f"more than {limits.MAX_MAPPINGS} mappings"
    for index, mapping in enumerate(mappings):
        if not isinstance(mapping, dict) or not is_text(mapping.get("user_id")):
            return f"mapping {index} should have a user_id"
        rest = {name: value for name, value in mapping.items() if name != "user_id"}
        if rest != {"unmap": True} and not (
            rest.keys() == {"global_user_id"} and is_text(rest["global_user_id"])
        ):
            return f"mapping {index} should have a global_user_id, or unmap: true"
    return None
