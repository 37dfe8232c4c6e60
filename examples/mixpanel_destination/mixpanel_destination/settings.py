"""A Mixpanel connection's settings, and the JSON Schema that a host checks them against."""

from __future__ import annotations

from typing import Literal

import msgspec

from destination_router import BasicAuth, Json

API = {
    "US": "https://api.mixpanel.com",
    "EU": "https://api-eu.mixpanel.com",
    "IN": "https://api-in.mixpanel.com",
}
"""Where each data residency takes data [docs.mixpanel.com/reference]."""


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Credentials for events other than the token."""

    username: str
    secret: str
    project_id: str


class MixpanelSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the hooks receive as `settings`; `SETTINGS_SCHEMA` says what each is."""

    token: str
    region: Literal["US", "EU", "IN"] = "US"
    service_account: ServiceAccount | None = None
    id_merge: Literal["simplified", "original", "legacy"] = "simplified"
    identify_event: str = "Identify"
    page_event: str = "Loaded a Page"
    screen_event: str = "Loaded a Screen"
    group_key: str | None = None

    def url(self, path: str) -> str:
        """Say where a request goes."""
        return API[self.region] + path

    @property
    def auth(self) -> BasicAuth:
        """What `/import` wants: a service account, else the token with an empty password."""
        account = self.service_account
        return BasicAuth(account.username, account.secret) if account else BasicAuth(self.token)

    @property
    def project(self) -> dict[str, str]:
        """The query that names the project, which only a service account needs."""
        return {"project_id": self.service_account.project_id} if self.service_account else {}

    @property
    def subscription(self) -> str:
        """The calls that Mixpanel has a use for: groups need a key, and simplified no alias."""
        calls = ["identify", "track", "page", "screen"]
        calls += ["group"] if self.group_key else []
        calls += ["alias"] if self.id_merge != "simplified" else []
        return " or ".join(f'type = "{call}"' for call in calls)


def _text(title: str, description: str, **more: Json) -> dict[str, Json]:
    return {"title": title, "description": description, "type": "string", **more}


SETTINGS_SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Mixpanel",
    "description": "Sends events, user profiles and group profiles to Mixpanel's ingestion API.",
    "type": "object",
    "additionalProperties": False,
    "required": ["token"],
    "properties": {
        "token": _text(
            "Project token",
            "In Mixpanel under Project Settings, Access Keys. For profiles Mixpanel takes a wrong "
            "one without a word.",
            minLength=1,
            writeOnly=True,
            examples=["a-project-token"],
        ),
        "region": _text(
            "Data residency",
            "Where the project's data is kept: the United States, the European Union or India.",
            enum=list(API),
            default="US",
        ),
        "serviceAccount": {
            "title": "Service account",
            "description": "Credentials for events in place of the token, which suffices.",
            "type": "object",
            "additionalProperties": False,
            "required": ["username", "secret", "projectId"],
            "properties": {
                "username": _text("User name", "Of the service account.", minLength=1),
                "secret": _text("Secret", "Its secret.", minLength=1, writeOnly=True),
                "projectId": _text("Project ID", "In Project Settings.", pattern="^[0-9]+$"),
            },
        },
        "idMerge": _text(
            "Identity merge",
            "In Mixpanel under Project Settings, Identity Merge. simplified: an event with both "
            "ids joins them. original: $identify and $create_alias events do. legacy, for projects "
            "from before March 2020: only $create_alias does.",
            enum=["simplified", "original", "legacy"],
            default="simplified",
        ),
        "identifyEvent": _text(
            "Identify event",
            "Identity merge simplified: the name of the event by which an identify joins its "
            "anonymousId to its userId. Empty for none, where later events carry both.",
            default="Identify",
        ),
        "pageEvent": _text(
            "Page event",
            "The name of the event that every page call becomes.",
            minLength=1,
            default="Loaded a Page",
        ),
        "screenEvent": _text(
            "Screen event",
            "The name of the event that every screen call becomes.",
            minLength=1,
            default="Loaded a Screen",
        ),
        "groupKey": _text(
            "Group key",
            "The group key, as it stands in Project Settings, Group Keys, that group calls are "
            "about. Without it they are left out.",
            minLength=1,
            examples=["company_id"],
        ),
    },
}
