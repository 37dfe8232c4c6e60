"""`destination-router new`: what it writes works as it is, in a fresh virtual environment."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run_command

from destination_router.commands import new as scaffolding
from destination_router.commands.new import check_name, write_destination
from destination_router.faults import UsageError

ROOT = Path(__file__).parents[3]
TEMPLATE = Path(scaffolding.__file__).parents[1] / "scaffold" / "my-destination"
NAME = "acme-customer-data-platform"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(
    tmp_path_factory: pytest.TempPathFactory, fresh_venv: Callable[[], Path]
) -> Callable[..., str]:
    """A destination as generated, installed in a new environment; runs a command in its folder."""
    folder = tmp_path_factory.mktemp("fresh")
    commands = fresh_venv()
    run(commands / "destination-router", "new", NAME, cwd=folder)
    run(commands / "pip", "install", "--quiet", "--editable", ".", cwd=folder / NAME)

    def run_in_it(command: str, *arguments: str) -> str:
        return run(commands / command, *arguments, cwd=folder / NAME)

    return run_in_it


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a destination as generated, not used yet."""
    folder = tmp_path_factory.mktemp("written")
    write_destination(NAME, folder)
    return folder


def test_its_conformance_is_green(fresh: Callable[..., str]) -> None:
    """Nothing needs to be written before the suite passes."""
    told = fresh("destination-router", "conformance", NAME)
    assert f"{NAME} of {NAME} 0.1.0, conformance suite" in told
    assert ": success\n1 case and " in told


def test_its_demo_shows_what_the_vendor_holds(fresh: Callable[..., str]) -> None:
    """Real SDK traffic arrives in the generated simulator."""
    held = json.loads(fresh("destination-router", "demo", NAME, "--json"))["held"]
    assert {row["event"] for row in held["events"]} == {"Program Published", "Article Read"}
    assert "ada.lovelace@example.com" in {row["user"] for row in held["users"]}


def test_its_tests_pass(fresh: Callable[..., str]) -> None:
    """The five lines of test run the suite."""
    assert "test_case[track/event] PASSED" in fresh("pytest", "-v")


def test_its_code_is_clean(fresh: Callable[..., str]) -> None:
    """It passes the linter, the formatter and the strict types that it is generated with."""
    fresh("ruff", "check", ".")
    fresh("ruff", "format", "--check", ".")
    fresh("mypy")


def test_its_test_file_is_five_lines(written: Path) -> None:
    """Cases are data: an author writes no test code."""
    lines = (written / "tests" / "test_conformance.py").read_text().splitlines()
    assert len(lines) == 5


def test_its_hooks_are_about_thirty_lines(written: Path) -> None:
    """A reader takes in the whole plugin at one glance."""
    plugin = (written / NAME.replace("-", "_") / "plugin.py").read_text()
    _, hooks = plugin.split("API = ")
    assert len([line for line in hooks.splitlines() if line and '"""' not in line]) <= 31


def test_nothing_of_the_template_is_left(written: Path) -> None:
    """Every name is the new one's, in paths and in texts."""
    files = [path for path in written.rglob("*") if path.is_file()]
    assert (written / ".gitignore") in files
    assert (written / ".github" / "workflows" / "test.yml") in files
    for left in ("my-destination", "my_destination", "MyDestination", "My Destination"):
        assert [path for path in files if left in str(path) or left in path.read_text()] == []


def test_a_wheel_brings_the_whole_template(tmp_path: Path) -> None:
    """`new` works where the router was installed from an index."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if "/scaffold/" in name}
    tracked = run("git", "ls-files", TEMPLATE.parent.relative_to(ROOT), cwd=ROOT).splitlines()
    assert packed == set(tracked)
    assert len(packed) >= 20


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("My_Destination", "; my-destination would do"),
        ("2nd-place", "; nd-place would do"),
        ("-", "a letter first, 40 characters at most"),
        ("../elsewhere", "; elsewhere would do"),
        ("a" * 41, "40 characters at most"),
        ("json", "Python has something called 'json' already: try json-destination"),
        ("class", "Python has something called 'class' already"),
        ("httpx", "Python has something called 'httpx' already"),
        ("heap", "offers a destination called 'heap': choose another"),
    ],
)
def test_a_bad_name_is_refused(name: str, told: str) -> None:
    """A name that is none, or is taken, is refused with what would do."""
    with pytest.raises(UsageError, match=r".") as refused:
        check_name(name)
    assert told in str(refused.value)


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    """Nothing is ever written over."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not an empty folder"):
        write_destination("acme", tmp_path)
    with pytest.raises(UsageError, match="is not an empty folder"):
        write_destination("acme", tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_distribution_that_says_so_offers_a_destination_without_the_suffix(
    tmp_path: Path,
) -> None:
    """Nobody means to write `plugin = "posthog-destination"`; the command says what it is."""
    done = run_command("new", "posthog-destination", "--directory", tmp_path / "posthog")
    assert "calls the destination posthog." in done.stderr.replace("\n", " ")
    project = (tmp_path / "posthog" / "pyproject.toml").read_text()
    assert 'name = "posthog-destination"' in project
    assert 'posthog = "posthog_destination.plugin"' in project
    readme = (tmp_path / "posthog" / "README.md").read_text()
    assert 'plugin = "posthog"' in readme
    assert "posthog-destination" not in readme.replace("posthog_destination", "")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    """`--directory` may name a folder that was made for it."""
    write_destination("acme", tmp_path)
    assert (tmp_path / "acme" / "plugin.py").is_file()
