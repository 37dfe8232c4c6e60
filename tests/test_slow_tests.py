"""tools/slow_tests.py and `scripts/test --fast`: quick, and in every folder."""

from __future__ import annotations

import ast
from pathlib import Path

from slow_tests import LISTED, durations, listed, slow

ROOT = Path(__file__).parent.parent
SLOW = listed(LISTED.read_text(encoding="utf-8").splitlines())


def functions() -> set[str]:
    """Every test function of the tree, as pytest names it."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        at = path.relative_to(ROOT).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.add(f"{at}::{node.name}")
            elif isinstance(node, ast.ClassDef):
                found |= {f"{at}::{node.name}::{each.name}" for each in methods(node)}
            elif isinstance(node, ast.Assign):  # the test case of a state machine
                found |= {f"{at}::{ast.unparse(each)}::runTest" for each in node.targets}
    return found


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [each for each in node.body if isinstance(each, ast.FunctionDef)]


def folders(names: set[str]) -> set[str]:
    return {str(Path(name.partition("::")[0]).parent) for name in names}


def test_every_folder_has_a_fast_test() -> None:
    """Whoever runs the fast ones has been everywhere."""
    everything = functions()
    assert folders(everything - SLOW) == folders(everything)


def test_no_test_is_listed_that_is_gone() -> None:
    """A test that was renamed would run, however long it takes: draw the list again."""
    assert SLOW - functions() == set()


def test_the_slow_ones_are_chosen_by_their_time() -> None:
    """All but the quickest of a folder."""
    took = {"tests/a/test_x.py::test_1": 0.1, "tests/a/test_x.py::test_2": 0.5}
    took |= {"tests/b/test_y.py::test_1": 9.0, "tests/b/test_z.py::test_1": 8.0}
    assert slow(took) == ["tests/a/test_x.py::test_2", "tests/b/test_y.py::test_1"]


def test_the_first_parameter_set_counts(tmp_path: Path) -> None:
    """It is the one that the fast run keeps."""
    report = tmp_path / "report.xml"
    cases = [("test_a[1]", 0.2), ("test_a[2]", 7.0), ("test_b", 3.0)]
    report.write_text(
        "<testsuites><testsuite>"
        + "".join(
            f'<testcase classname="tests.test_slow_tests" name="{name}" time="{took}"/>'
            for name, took in cases
        )
        + "</testsuite></testsuites>",
        encoding="utf-8",
    )
    here = "tests/test_slow_tests.py"
    assert durations(report) == {f"{here}::test_a": 0.2, f"{here}::test_b": 3.0}
