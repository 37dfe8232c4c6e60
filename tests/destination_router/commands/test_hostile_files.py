"""Files that no person writes: every command that reads one says a sentence, and no more."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from command_line import run_command as run

DEEP = 100_000
ROUTER = """
[gateway]
write_keys = ["key"]
[[connections]]
name = "heap"
plugin = "heap"
settings = {{ appId = "11"{settings} }}
{more}
"""
TOO_DEEP = "is nested deeper than 100 levels"
TOO_LARGE = "holds a whole number of more than 64 bits"
ROUTER_TOMLS = {
    "a deep list": (ROUTER.format(settings=f", x = {'[' * DEEP}", more=""), TOO_DEEP),
    "closed": (ROUTER.format(settings=f", x = {'[' * 150}{']' * 150}", more=""), TOO_DEEP),
    "a deep table": (ROUTER.format(settings=f", x = {'{a = ' * DEEP}", more=""), TOO_DEEP),
    "deep keys": (ROUTER.format(settings=f", x{'.a' * 5000} = 1", more=""), TOO_DEEP),
    "a deep header": (ROUTER.format(settings="", more=f"[x{'.a' * 5000}]"), TOO_DEEP),
    "digits": (ROUTER.format(settings=f", x = {'9' * 10_000}", more=""), TOO_LARGE),
    "hexadecimal digits": (ROUTER.format(settings=f", x = 0x{'f' * 40_000}", more=""), TOO_LARGE),
    "nested directives": (
        ROUTER.format(
            settings="",
            more="[connections.mapping.track]\nevent = "
            + '{"@case" = {operator = "lower", value = ' * 2000
            + '"x"'
            + "}}" * 2000,
        ),
        TOO_DEEP,
    ),
    "fewer directives": (
        ROUTER.format(
            settings="",
            more="[connections.mapping.track]\nevent = "
            + '{"@case" = {operator = "lower", value = ' * 60
            + '"x"'
            + "}}" * 60,
        ),
        f"{TOO_DEEP}, at connections.0.mapping.track.event",
    ),
}
COMMANDS = [
    ("check",),
    ("run",),
    ("transformer",),
    ("try", "messages.jsonl"),
    ("send", "messages.jsonl"),
    ("privacy", "report", "messages.jsonl"),
    ("dead-letters", "list"),
    ("eventlog", "status"),
    ("delete-user", "--user", "ada"),
]


def said(folder: Path, *arguments: str) -> str:
    """Run a command that is expected to refuse its file; what it said, which is one line."""
    (folder / "messages.jsonl").write_text("")
    done = run(*arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert len(line) < 300
    return line


@pytest.mark.parametrize("name", ROUTER_TOMLS)
def test_a_router_toml_that_nothing_could_walk_through(tmp_path: Path, name: str) -> None:
    """It is refused when it is read, with the file's name and, if it is known, the place."""
    content, sentence = ROUTER_TOMLS[name]
    (tmp_path / "router.toml").write_text(content)
    assert f"router.toml {sentence}" in said(tmp_path, "check")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["deep keys", "digits"])
def test_every_command_that_reads_a_router_toml(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    """One reader, so the same words from all of them."""
    content, sentence = ROUTER_TOMLS[name]
    (tmp_path / "router.toml").write_text(content)
    assert f"router.toml {sentence}" in said(tmp_path, *command, "--config", "router.toml")


CONTENTS = {
    "deep.json": ('{"a": ' * DEEP, TOO_DEEP),
    "levels.json": ('{"a": ' * 150 + "1" + "}" * 150, TOO_DEEP),
    "digits.json": ('{"a": ' + "9" * 10_000 + "}", TOO_LARGE),
    "deep.toml": (f"a = {'[' * DEEP}", TOO_DEEP),
    "digits.toml": (f"a = {'9' * 10_000}", TOO_LARGE),
    "latin.json": ('{"a": "\u00e9"}', "is not text in UTF-8, from byte 8 on"),
    "none.json": ("{", "is not JSON: Expecting property name"),
    "none.toml": ("a", "is not TOML: "),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_files_of_settings(tmp_path: Path, name: str) -> None:
    """`--settings`, of JSON and of TOML."""
    content, sentence = CONTENTS[name]
    (tmp_path / name).write_text(content, encoding="latin-1")
    for command in (("try", "heap", "messages.jsonl"), ("simulate", "heap")):
        assert f"{name} {sentence}" in said(tmp_path, *command, "--settings", name)


@pytest.mark.parametrize("name", CONTENTS)
def test_files_of_allowlists(tmp_path: Path, name: str) -> None:
    """`allow = {file = PATH}`: a list that cannot be read never means that more may pass."""
    content, sentence = CONTENTS[name]
    (tmp_path / name).write_text(content, encoding="latin-1")
    privacy = (
        f'[privacy]\nmode = "hipaa"\nkeys = {{v1 = {{env = "PATH"}}}}\nallow = {{file = "{name}"}}'
    )
    (tmp_path / "router.toml").write_text(ROUTER.format(settings="", more=privacy))
    done = run("check", cwd=tmp_path)
    assert done.returncode == 2
    assert f"[privacy] allow: {name} {sentence}" in done.stderr


@pytest.mark.parametrize("system", ["segment", "rudderstack"])
@pytest.mark.parametrize("name", [name for name in CONTENTS if name.endswith("json")])
def test_exports_of_other_systems(tmp_path: Path, system: str, name: str) -> None:
    """`import` reads what somebody else wrote."""
    content, sentence = CONTENTS[name]
    (tmp_path / name).write_text(content, encoding="latin-1")
    assert f"{name} {sentence}" in said(tmp_path, "import", system, name)


def test_an_export_with_nested_directives(tmp_path: Path) -> None:
    """Mappings of an export are compiled, too."""
    directives = '{"@case": {"operator": "lower", "value": ' * 2000 + '"x"' + "}}" * 2000
    export = '{"settings": {"appId": "1"}, "subscriptions": [{"mapping": {"event": %s}}]}'
    (tmp_path / "export.json").write_text(export % directives)
    assert f"export.json {TOO_DEEP}" in said(tmp_path, "import", "segment", "export.json")


def test_a_key_that_every_user_can_read_is_told(tmp_path: Path) -> None:
    """By whichever command reads it, before what it has to say."""
    (tmp_path / "key").write_text("11")
    (tmp_path / "key").chmod(0o644)
    settings = 'settings = { appId = {file = "key"} }'
    content = ROUTER.format(settings="", more="").replace('settings = { appId = "11" }', settings)
    (tmp_path / "router.toml").write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        done = run("check", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0].startswith("key can be read by every user of this machine")
