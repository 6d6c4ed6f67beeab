"""deploy/kubernetes/estiva.yaml, held against the schemas of Kubernetes, the image and the settings."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from estiva_server.config import load
from tests.deploy.composed import ROOT
from tests.tools import absent

pytestmark = pytest.mark.real

MANIFEST = ROOT / "deploy" / "kubernetes" / "estiva.yaml"
VERSIONS = ["1.29", "1.33", "1.37"]
# What docs/deploy.md has people put in the Secret.
SECRETS = {
    "ESTIVA_MASTER_KEY": "5e" * 32,
    "ESTIVA_ADMIN_PASSWORD": "Tr1tons-below-deck",
    "ESTIVA_DATABASE_URL": "postgresql://estiva@database/estiva",
    "AWS_ACCESS_KEY_ID": "estiva",
    "AWS_SECRET_ACCESS_KEY": "stowaway",
}


@pytest.fixture
def resources() -> dict[str, Any]:
    """What the file describes, by kind."""
    return {resource["kind"]: resource for resource in yaml.safe_load_all(MANIFEST.read_text())}


@pytest.fixture
def validate() -> Callable[[Any, str], object]:
    """Refuses what that version of Kubernetes does not know."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        absent("kubernetes-validate is not installed; scripts/setup clients installs it")
    library: Any = importlib.import_module("kubernetes_validate")
    return lambda resource, version: library.validate(resource, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget"])
def test_each_resource_is_one_that_kubernetes_knows(
    resources: dict[str, Any], validate: Callable[[Any, str], object], kind: str, version: str
) -> None:
    validate(resources[kind], version)


def test_nothing_else_is_described(resources: dict[str, Any]) -> None:
    assert set(resources) == {"Deployment", "Service", "PodDisruptionBudget"}


def test_a_field_that_kubernetes_does_not_know_is_noticed(
    resources: dict[str, Any], validate: Callable[[Any, str], object]
) -> None:
    resources["Deployment"]["spec"]["template"]["spec"]["enableServiceLink"] = False

    with pytest.raises(Exception, match="enableServiceLink"):
        validate(resources["Deployment"], VERSIONS[-1])


def test_the_parts_find_each_other(resources: dict[str, Any]) -> None:
    pod = resources["Deployment"]["spec"]["template"]
    [container] = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}

    for kind in ("Deployment", "PodDisruptionBudget"):
        assert resources[kind]["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert resources["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert {port["targetPort"] for port in resources["Service"]["spec"]["ports"]} <= ports
    assert {volume["name"] for volume in pod["spec"]["volumes"]} == {
        mount["name"] for mount in container["volumeMounts"]
    }
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")} == {
        "http"
    }


def test_its_settings_are_settings_and_it_waits_longer_than_they_say(
    resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    given = {**SECRETS, **{variable["name"]: variable["value"] for variable in container["env"]}}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = load(environment=given)

    assert settings.blobs == given["ESTIVA_BLOBS"]
    assert pod["terminationGracePeriodSeconds"] > settings.drain_timeout
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > settings.database_wait
    assert [source["secretRef"]["name"] for source in container["envFrom"]] == ["estiva"]


def test_the_documentation_makes_the_secret_that_it_asks_for() -> None:
    documented = (ROOT / "docs" / "deploy.md").read_text()
    [command] = [part for part in documented.split("```") if "kubectl create secret generic estiva " in part]

    assert {name for name in SECRETS if f"--from-literal={name}=" in command} == set(SECRETS)
