"""`destination-router new`: what it writes works as it is, in a fresh virtual environment."""

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from destination_router.surfaces import scaffolding
from destination_router.surfaces.choosing import UsageError
from destination_router.surfaces.scaffolding import check_name, write_destination

ROOT = Path(__file__).parents[3]
TEMPLATE = Path(scaffolding.__file__).parent / "scaffold" / "my-destination"
NAME = "acme-customer-data-platform"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A destination as generated, in a folder with a virtual environment beside it.

    The environment is new and holds nothing but that destination. What it depends on is looked up
    in the environment that runs the tests, so that nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("fresh")
    run(sys.executable, "-m", "destination_router.surfaces.cli", "new", NAME, cwd=folder)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    ours = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(site.strip(), "dependencies.pth").write_text(ours)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--disable-pip-version-check", "--no-index", "--no-build-isolation"]
    run(*pip, *offline, "--editable", ".", cwd=folder / NAME)
    return folder


def in_fresh(fresh: Path, *module: str) -> str:
    return run(fresh / "venv" / "bin" / "python", "-m", *module, cwd=fresh / NAME)


def test_its_conformance_is_green(fresh: Path) -> None:
    """Nothing needs to be written before the suite passes."""
    told = in_fresh(fresh, "destination_router.surfaces.cli", "conformance", NAME)
    assert f"{NAME} of {NAME} 0.1.0, conformance suite" in told
    assert ": success\n1 case and " in told


def test_its_demo_shows_what_the_vendor_holds(fresh: Path) -> None:
    """Real SDK traffic arrives in the generated simulator."""
    told = json.loads(in_fresh(fresh, "destination_router.surfaces.cli", "demo", NAME, "--json"))
    assert {row["event"] for row in told["held"]["events"]} == {
        "Program Published",
        "Article Read",
    }
    assert "ada.lovelace@example.com" in {row["user"] for row in told["held"]["users"]}


def test_its_tests_pass(fresh: Path) -> None:
    """The five lines of test run the suite."""
    test_file = (fresh / NAME / "tests" / "test_conformance.py").read_text()
    assert len([line for line in test_file.splitlines() if line]) <= 5
    assert "test_case[track/event] PASSED" in in_fresh(fresh, "pytest", "-v")


def test_its_code_is_clean(fresh: Path) -> None:
    """It passes the linter, the formatter and strict types that it is generated with."""
    in_fresh(fresh, "ruff", "check", ".")
    in_fresh(fresh, "ruff", "format", "--check", ".")
    in_fresh(fresh, "mypy")


def test_nothing_of_the_template_is_left(fresh: Path) -> None:
    """Every name is the new one's, in paths and in texts."""
    folder = fresh / NAME
    written = [path for path in folder.rglob("*") if path.is_file()]
    texts = [path.read_text() for path in written if path.suffix in {".py", ".toml", ".md", ".yml"}]
    assert (folder / ".gitignore").is_file()
    assert (folder / ".github" / "workflows" / "test.yml").is_file()
    for left in ("my-destination", "my_destination", "MyDestination", "My Destination"):
        assert not [path for path in written if left in str(path)]
        assert not [text for text in texts if left in text]


def test_the_plugin_is_about_twenty_lines(fresh: Path) -> None:
    """A reader takes in the whole plugin at one glance."""
    code = (fresh / NAME / NAME.replace("-", "_") / "plugin.py").read_text()
    statements = [line for line in code.splitlines() if line.strip() and '"""' not in line]
    assert len(statements) <= 32


def test_a_wheel_brings_the_whole_template(tmp_path: Path) -> None:
    """`new` works where the router was installed from an index."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if "/scaffold/" in name}
    tracked = run("git", "ls-files", TEMPLATE.relative_to(ROOT), cwd=ROOT).splitlines()
    assert packed == set(tracked)
    assert len(packed) >= 11


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


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    """`--directory` may name a folder that was made for it."""
    write_destination("acme", tmp_path)
    assert (tmp_path / "acme" / "plugin.py").is_file()
