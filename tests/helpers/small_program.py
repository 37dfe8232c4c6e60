"""A small destination as a program, whose author may be careless: what do hosts put up with?

`speaks` writes one in Python that starts quickly; `answer` says what it does with a line, as the
body of a function that has the line as `asked` and gives back what to write, or None.
"""

import sys
import textwrap
from pathlib import Path

_PROGRAM = """
import json, os, signal, sys, time

SCHEMA = {"type": "object", "additionalProperties": False, "properties": {"key": {
    "title": "Key", "description": "A key.", "type": "string", "default": "k", "writeOnly": True}}}

def value(asked):
    call = asked["call"]
    if call == "hello":
        return {"protocol": 1, "name": "small", "version": "1.0", "hooks": HOOKS}
    if call == "settings_schema":
        return SCHEMA
    if call == "map":
        return [made(each["message"]) for each in asked["messages"]]
    return None

def made(message):
    if not message.get("userId"):
        return {"reject": {"code": "missing_identity", "detail": "it is missing: send one",
                           "path": "userId"}}
    return {"requests": [{"url": "https://vendor.example/events", "json": message}]}

def write(answer):
    sys.stdout.write(json.dumps(answer) + "\\n")
    sys.stdout.flush()

def ordinary(asked):
    return {"id": asked["id"], "value": value(asked)}

def answer(asked):
ANSWER

HOOKS = ["settings_schema", "on_identify", "on_track"] + MORE
for line in sys.stdin:
    told = answer(json.loads(line))
    if told is not None:
        write(told)
    if json.loads(line)["call"] == "stop":
        break
"""


def speaks(
    folder: Path, answer: str = "return ordinary(asked)", hooks: tuple[str, ...] = ()
) -> list[str]:
    """Write a program, and give the command that starts it."""
    path = folder / "small.py"
    body = textwrap.indent(textwrap.dedent(answer).strip(), "    ")
    path.write_text(_PROGRAM.replace("ANSWER", body).replace("MORE", repr(list(hooks))))
    return [sys.executable, "-S", "-E", str(path)]


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
