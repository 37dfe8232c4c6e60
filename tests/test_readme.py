"""What the README tells a newcomer to type works."""

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

import conformance
from conformance.case import load_cases
from conformance.checks import CHECKS
from conformance.mutants.heap import MUTANTS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_host_with_pluggy_alone(heap_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines of the README's own host deliver an event."""
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 13
    real = httpx.request

    def redirected(method: str, url: str, **body: object) -> httpx.Response:
        assert url == "http://127.0.0.1:9100/api/track"  # the simulator
        return real(method, heap_url + "/api/track", **body)

    monkeypatch.setattr(httpx, "request", redirected)
    exec(compile(code, "README.md", "exec"), {})
    (event,) = httpx.get(f"{heap_url}/_simulator/events").json()["events"]
    assert (event["event"], event["identity"]) == ("Program Published", "ada")


def test_the_whole_router_in_a_program(heap_url: str, tmp_path: Path) -> None:
    """The three lines of the README deliver an event."""
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "router.toml").write_text(
        f'[eventlog]\nurl = "sqlite:///{tmp_path}/router.db"\n'
        f'[delivery.origins]\n"*" = "{heap_url}"\n'
        '[[connections]]\nname = "heap"\nplugin = "heap"\nsettings = { appId = "11" }\n'
    )
    code = code.replace("router.toml", str(tmp_path / "router.toml"))
    lines = [line for line in code.splitlines() if not line.startswith("from ")]
    body = "\n".join(f"    {line}" for line in [*lines, "    await router.drain(60)"])
    program = f"from destination_router import Router\n\nasync def main():\n{body}\n"
    names: dict[str, Any] = {}
    exec(compile(program, "README.md", "exec"), names)
    asyncio.run(names["main"]())
    (event,) = httpx.get(f"{heap_url}/_simulator/events").json()["events"]
    assert event["event"] == "Program Published"


def test_every_link_leads_somewhere() -> None:
    """Each relative link of the README is a file of the repository."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    root = Path(__file__).parent.parent
    assert links
    assert [link for link in links if not (root / link).exists()] == []


def test_the_figures_about_the_suite_are_true() -> None:
    """The README counts the cases, the checks and the defects that they catch."""
    folder = Path(conformance.__file__).parent / "cases"
    assert f"{len(load_cases(folder / 'heap').cases)} documented cases" in README
    assert f"{len(load_cases(folder / 'router').cases)} cases of the router" in README
    assert f"{len(CHECKS)} checks" in README
    assert f"all {len(MUTANTS)} deliberate" in README


def test_a_destination_of_ones_own_fits_on_one_screen() -> None:
    """The section begins with the scaffold, and takes no scrolling."""
    (section,) = re.findall(r"## Write your own\n(.*?)\n## ", README, re.DOTALL)
    assert section.startswith("\n```console\n$ destination-router new my-destination")
    assert len(section.splitlines()) <= 24
