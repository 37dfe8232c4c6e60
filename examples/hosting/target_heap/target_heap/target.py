"""The target: which streams become which calls is configuration."""

from __future__ import annotations

from typing import ClassVar

from singer_sdk import Target
from singer_sdk import typing as th

from target_heap.sink import HeapSink

CALLS = ["track", "identify", "group"]


class TargetHeap(Target):
    """Sends the rows of each configured stream to Heap."""

    name = "target-heap"
    default_sink_class = HeapSink
    config_jsonschema: ClassVar[dict] = th.PropertiesList(
        th.Property(
            "heap",
            th.ObjectType(additional_properties=True),
            required=True,
            description="Heap's settings, as `destination-router schema heap` prints them.",
        ),
        th.Property(
            "streams",
            th.ObjectType(
                additional_properties=th.ObjectType(
                    th.Property(
                        "call",
                        th.StringType(allowed_values=CALLS),
                        required=True,
                        description="What a row becomes.",
                    ),
                    th.Property(
                        "id",
                        th.StringType,
                        required=True,
                        description="The field that holds the user's id; for group the account's.",
                    ),
                    th.Property("event", th.StringType, description="For track: the event's name."),
                    th.Property(
                        "timestamp", th.StringType, description="The field that says when."
                    ),
                )
            ),
            required=True,
            description="By stream; `*` stands for every stream that is not named.",
        ),
        th.Property(
            "origin",
            th.StringType,
            description="Sends to a simulator in Heap's place: http://127.0.0.1:9100",
        ),
    ).to_dict()
