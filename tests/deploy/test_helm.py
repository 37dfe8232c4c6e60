"""deploy/helm: the chart, rendered by helm and held to Kubernetes' own schemas."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

CHART = Path(__file__).parents[2] / "deploy/helm/destination-router"
CONTAINERFILE = CHART.parents[1] / "container/Containerfile"
KUBERNETES = "1.30"
SCRIPTS = Path(sys.executable).parent


def tool(name: str) -> str:
    """Find a program that `scripts/test-deploy --prepare` installs."""
    found = shutil.which(name, path=f"{SCRIPTS}:{os.environ['PATH']}")
    if found is None:
        assert os.environ.get("CI") != "true", f"scripts/test-deploy --prepare installs {name}"
        pytest.skip(f"{name} is missing: scripts/test-deploy --prepare")
    return found


def render(*options: str) -> subprocess.CompletedProcess[str]:
    command = [tool("helm"), "template", "router", str(CHART), "--kube-version", KUBERNETES]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def rendered() -> str:
    ran = render()
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def objects(text: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="scripts/test-deploy --prepare installs PyYAML")
    return {each["kind"]: each for each in yaml.safe_load_all(text) if each}


def test_helm_finds_nothing_wrong() -> None:
    """`helm lint`, strictly."""
    command = [tool("helm"), "lint", "--strict", str(CHART)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_kubernetes_takes_what_it_renders(rendered: str, tmp_path: Path) -> None:
    """Each object fits the schema of its kind, strictly: no field that Kubernetes does not know."""
    path = tmp_path / "rendered.yaml"
    path.write_text(rendered)
    command = [
        tool("kubernetes-validate"),
        "--strict",
        "--kubernetes-version",
        KUBERNETES,
        str(path),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_pod_is_the_container_that_is_built(rendered: str) -> None:
    """One pod, the container's user, its log on the volume, and a router.toml that says so."""
    found = objects(rendered)
    spec = found["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    pod = spec["template"]["spec"]
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in CONTAINERFILE.read_text()
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    config = tomllib.loads(found["ConfigMap"]["data"]["router.toml"])
    assert config["eventlog"]["url"].startswith(f"sqlite:///{mounts['log']}/")
    port = container["ports"][0]["containerPort"]
    assert config["gateway"]["listen"] == f"0.0.0.0:{port}"
    assert pod["terminationGracePeriodSeconds"] > 10
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_changed_router_toml_starts_the_pod_anew(rendered: str) -> None:
    """Its digest stands on the pod."""
    changed = render("--set", "config=another")
    digests = {
        objects(text)["StatefulSet"]["spec"]["template"]["metadata"]["annotations"][
            "checksum/config"
        ]
        for text in (rendered, changed.stdout)
    }
    assert len(digests) == 2


@pytest.mark.parametrize("wrong", ["service.port=0", "persistence.size=ten", "replicas=2"])
def test_wrong_values_are_refused(wrong: str) -> None:
    """By the schema of its values, before anything is installed."""
    assert render("--set", wrong).returncode != 0


def test_chart_and_project_have_one_version() -> None:
    """The chart names the image of its own release."""
    project = tomllib.loads((CHART.parents[2] / "pyproject.toml").read_text())["project"]
    chart = (CHART / "Chart.yaml").read_text()
    for field in ("version", "appVersion"):
        assert f"\n{field}: {project['version']}\n" in chart
