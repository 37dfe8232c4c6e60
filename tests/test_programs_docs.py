"""docs/programs.md and the part of docs/conformance.md on Node: what they show is what happens."""

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from destination_router.programs.destination import KNOWN_HOOKS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "programs.md").read_text()
GUIDE = (ROOT / "docs" / "conformance.md").read_text()
SCHEMA: dict[str, Any] = json.loads(
    files("conformance").joinpath("schema", "subject.v1.json").read_bytes()
)


def transcript() -> list[tuple[str, str]]:
    return re.findall(r"^→ (.+)\n← (.+)$", PAGE, re.MULTILINE)


def test_the_transcript_is_what_the_example_says(node: str) -> None:
    """Line by line, to the last digit."""
    lines = transcript()
    assert len(lines) >= 7
    told = subprocess.run(
        [node, "main.mjs"],
        input="".join(f"{asked}\n" for asked, _ in lines),
        cwd=ROOT / "examples" / "node_destination",
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [answer for _, answer in lines]


@pytest.mark.parametrize(("asked", "answer"), transcript())
def test_the_transcript_keeps_to_the_schema(asked: str, answer: str) -> None:
    """Each line by itself, and each value by its call."""
    for part, line in (("question", asked), ("answer", answer)):
        schema = {"$ref": f"#/$defs/{part}", "$defs": SCHEMA["$defs"]}
        Draft202012Validator(schema).validate(json.loads(line))
    value = json.loads(answer)
    if "value" in value:
        shape = SCHEMA["$defs"]["values"]["properties"][json.loads(asked)["call"]]
        Draft202012Validator({**shape, "$defs": SCHEMA["$defs"]}).validate(value["value"])


def test_every_call_is_in_the_table() -> None:
    """A hook that a program may have stands on the page, by its name."""
    hooks = {name for name in KNOWN_HOOKS if not name.startswith("on_")} | {"on_response"}
    for call in (*hooks, "hello", "map", "stop"):
        assert f"`{call}`" in PAGE


def blocks() -> list[tuple[bool, str]]:
    section = GUIDE[GUIDE.index("### A destination in Node") :]
    section = section[: section.index("\n### ", 5)]
    found = re.findall(r"```console( fails)?\n(.*?)```", section, re.DOTALL)
    return [(bool(fails), text) for fails, text in found]


def test_the_way_to_a_green_badge(tmp_path: Path, node: str) -> None:
    """Whoever types what the page says sees what it says, and has the badge."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{Path(node).parent}:{os.environ['PATH']}",
    }
    folder = tmp_path
    for fails, text in blocks():
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            if command.startswith("cd "):
                folder /= command.removeprefix("cd ")
                continue
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            said = done.stdout + done.stderr
            assert (done.returncode != 0) == (fails and "conformance" in command), said
            for line in printed.splitlines():
                assert line == "..." or line in said.splitlines(), said
    assert "100%" in (folder / "badge.svg").read_text()
