"""The HTML report in a real browser: drawn without errors, filtered, at the width of a phone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.bench import open_bench
from conformance.report import build_report, html
from conformance.runner import run_all

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
PROBE = """<script>
addEventListener("load", () => {
  const shown = (selector) =>
    [...document.querySelectorAll(selector)].filter((e) => e.offsetParent !== null).length;
  const told = [];
  for (const button of document.querySelectorAll("input[name=show]")) {
    button.click();
    told.push(`${button.id}=${shown("article")}/${shown("section")}`);
  }
  document.querySelector("#show-all").click();
  const root = document.documentElement;
  told.push(`overflow=${root.scrollWidth - root.clientWidth}`);
  document.title = told.join(" ");
});
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs a browser: apt-get install chromium")
        pytest.skip("there is no Chromium on this machine")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = open_bench("heap")
    text = html(build_report(bench, run_all(bench)))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return path


def title(browser: str, page: Path, profile: Path, width: int) -> dict[str, str]:
    """Draw the page, press every button of the filter, and read what it then showed."""
    command = [
        browser,
        *FLAGS,
        f"--user-data-dir={profile}",
        f"--window-size={width},900",
        "--dump-dom",
        page.as_uri(),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"<title>(.*?)</title>", ran.stdout)
    assert found is not None, ran.stderr
    return dict(pair.split("=") for pair in found[1].split())


@pytest.mark.parametrize("width", [1280, 500])
def test_the_filter_works_and_nothing_overflows(
    browser: str, page: Path, tmp_path: Path, width: int
) -> None:
    """Each button shows its results and the topics that have some; all fits the width."""
    text = page.read_text(encoding="utf-8")
    told = title(browser, page, tmp_path, width)
    articles = len(re.findall("<article ", text))
    assert told.pop("overflow") == "0"
    assert told["show-all"] == f"{articles}/{len(re.findall('<section ', text))}"
    for button, shown in told.items():
        result = button.removeprefix("show-")
        if result != "all":
            count, sections = map(int, shown.split("/"))
            assert count == text.count(f'<article class="{result}"')
            assert 0 < sections <= count
    passed, skipped = (
        int(told.get(f"show-{r}", "0/0").split("/")[0]) for r in ("passed", "skipped")
    )
    assert passed + skipped == articles
