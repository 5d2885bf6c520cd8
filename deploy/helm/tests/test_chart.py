# SPDX-License-Identifier: Apache-2.0
"""The chart: linted, rendered, valid for two versions of Kubernetes, and strict about its values."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk is published for Linux on x86_64 only")

HELM = Path(__file__).parents[1]
CHART = HELM / "mlflow-bridge"
KUBERNETES_VERSIONS = ("1.31", "1.37")
#: Kinds that are not Kubernetes' own, and the schemas of what the chart uses of them.
CUSTOM_KINDS = {"ScaledObject": "scaledobject.json", "ScrapeConfig": "scrapeconfig.json"}

REQUIRED: dict[str, Any] = {
    "image": {"repository": "registry.example/mlflow-bridge", "digest": f"sha256:{'0' * 64}"},
    "upstream": "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-0123456789",
    "store": {"secret": {"name": "mlflow-bridge"}},
    "broker": {"secret": {"name": "mlflow-bridge"}},
}
ALL: dict[str, Any] = {
    **REQUIRED,
    "region": "eu-central-1",
    "settings": {"BRIDGE_MAX_STORE": "6GiB"},
    "secretSettings": {"BRIDGE_ENCRYPTION_KEYS": {"name": "mlflow-bridge", "key": "encryption-keys"}},
    "api": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/api"}}},
    "worker": {"serviceAccount": {"create": False, "name": "given"}},
    "scaling": {"enabled": True, "prometheusAddress": "http://prometheus.monitoring.svc:9090"},
    "ingress": {"enabled": True, "className": "alb", "host": "bridge.example", "tlsSecret": "bridge-tls"},
    "scrape": {"enabled": True, "secret": {"name": "prometheus-key"}, "labels": {"release": "prometheus"}},
}
VARIANTS = {"required": REQUIRED, "all": ALL}

#: Values that must be refused, each with its path. The message names the last part of it.
REFUSED: dict[str, tuple[str, Any]] = {
    "an upstream that is missing": ("upstream", ""),
    "a digest that is missing": ("image.digest", ""),
    "a tag in place of a digest": ("image.digest", "latest"),
    "a store without its secret": ("store.secret.name", ""),
    "a misspelt value": ("worker.replica", 2),
    "no workers": ("worker.replicas", 0),
    "scaling to nothing": ("scaling.minReplicas", 0),
    "falling back to nothing": ("scaling.fallbackReplicas", 0),
    "scaling without Prometheus": ("scaling", {"enabled": True, "prometheusAddress": ""}),
    "an ingress without a host": ("ingress", {"enabled": True, "host": ""}),
    "a scrape without its key": ("scrape", {"enabled": True, "secret": {"name": ""}}),
    "no authentication": ("auth", "none"),
    "a setting that is none of the bridge's": ("settings.MLFLOW_TRACKING_URI", "http://mlflow"),
    "a setting that the chart derives": ("settings.BRIDGE_SHUTDOWN_TIMEOUT", "10m"),
    "a setting that is no text": ("settings.BRIDGE_UPSTREAM_RATE", 50),
    "clients that would be everything": ("networkPolicy.clients", []),
}


def _rendered(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the objects that an installation as `bridge` in the namespace `ml` creates."""
    chart = helm.Chart.load(str(CHART))
    chart.validate_schema(chart.merge_values(values))
    for name, text in chart.render(values, name="bridge", namespace="ml").items():
        if name.endswith(".yaml"):
            yield from (each for each in yaml.safe_load_all(text) if each)


def _objects(values: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in _rendered(values) if each["kind"] == kind}


def _with(path: str, value: object) -> dict[str, Any]:
    values: dict[str, Any] = copy.deepcopy(REQUIRED)
    *parents, last = path.split(".")
    place = values
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return values


def _seconds(pod: dict[str, Any], name: str) -> int:
    (value,) = (each["value"] for each in pod["containers"][0]["env"] if each["name"] == name)
    return int(value.removesuffix("s"))


@pytest.fixture(params=VARIANTS, name="values")
def values_fixture(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture(params=["bridge-api", "bridge-worker"], name="pod")
def pod_fixture(request: pytest.FixtureRequest) -> dict[str, Any]:
    pod: dict[str, Any] = _objects(ALL, "Deployment")[request.param]["spec"]["template"]["spec"]
    return pod


def test_lint_finds_nothing_but_the_missing_icon(values: dict[str, Any]) -> None:
    report = helm.lint(str(CHART), values, strict=True)

    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]
    assert report["errors"] == []


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_kubernetes_accepts_every_object(values: dict[str, Any], version: str) -> None:
    rendered = list(_rendered(values))
    assert len(rendered) >= 9

    for each in rendered:
        if each["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(each, version, strict=True)


def test_objects_of_others_fit_their_schemas() -> None:
    custom = {each["kind"]: each for each in _rendered(ALL) if each["kind"] in CUSTOM_KINDS}

    assert set(custom) == set(CUSTOM_KINDS)
    for kind, each in custom.items():
        jsonschema.validate(each, json.loads((HELM / "schemas" / CUSTOM_KINDS[kind]).read_text(encoding="utf-8")))


def test_a_misspelt_field_would_be_noticed() -> None:
    deployment = _objects(REQUIRED, "Deployment")["bridge-api"]
    pod = deployment["spec"]["template"]["spec"]
    pod["securtyContext"] = pod.pop("securityContext")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES_VERSIONS[0], strict=True)


@pytest.mark.parametrize(("path", "value"), REFUSED.values(), ids=REFUSED)
def test_values_that_cannot_work_are_refused(path: str, value: object) -> None:
    with pytest.raises(helm.HelmError, match=path.rpartition(".")[2]):
        list(_rendered(_with(path, value)))


def test_fewer_workers_at_most_than_at_least_are_refused() -> None:
    scaling = {**ALL["scaling"], "minReplicas": 5, "maxReplicas": 4}

    with pytest.raises(helm.HelmError, match="maxReplicas"):
        list(_rendered({**ALL, "scaling": scaling}))


def test_every_pod_is_read_only_and_without_privileges(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == f"{REQUIRED['image']['repository']}@{REQUIRED['image']['digest']}"
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the pod's own


def test_a_stop_is_given_longer_than_the_bridge_takes_for_it(pod: dict[str, Any]) -> None:
    needed = _seconds(pod, "BRIDGE_SHUTDOWN_DELAY") + _seconds(pod, "BRIDGE_SHUTDOWN_TIMEOUT")

    assert pod["terminationGracePeriodSeconds"] > needed


def test_urls_and_secret_settings_come_from_secrets(pod: dict[str, Any]) -> None:
    references = {each["name"] for each in pod["containers"][0]["env"] if "valueFrom" in each}

    assert references == {"BRIDGE_STORE_URL", "BRIDGE_BROKER_URL", "BRIDGE_ENCRYPTION_KEYS"}
    assert not _objects(ALL, "Secret")


def test_a_store_outage_takes_the_api_out_of_service_but_restarts_nothing() -> None:
    container = _objects(REQUIRED, "Deployment")["bridge-api"]["spec"]["template"]["spec"]["containers"][0]

    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_workers_follow_the_age_of_due_work_and_survive_the_loss_of_prometheus() -> None:
    scaled = _objects(ALL, "ScaledObject")["bridge-worker"]["spec"]
    (trigger,) = scaled["triggers"]

    assert scaled["scaleTargetRef"]["name"] in _objects(ALL, "Deployment")
    assert trigger["metadata"]["query"] == "max(mlflow_bridge_oldest_due_seconds)"
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert scaled["fallback"]["replicas"] >= scaled["minReplicaCount"] >= 1
    assert "replicas" not in _objects(ALL, "Deployment")["bridge-worker"]["spec"]


def test_selectors_reach_the_pods_that_they_are_for() -> None:
    deployments = _objects(ALL, "Deployment")
    labels = {name: each["spec"]["template"]["metadata"]["labels"] for name, each in deployments.items()}
    selectors = {
        **{name: each["spec"]["selector"]["matchLabels"] for name, each in deployments.items()},
        **{name: each["spec"]["selector"] for name, each in _objects(ALL, "Service").items()},
    }
    for kind, key in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        found = {name: each["spec"][key]["matchLabels"] for name, each in _objects(ALL, kind).items()}
        assert found == {name: selectors[name] for name in deployments}, kind

    assert selectors["bridge-api"].items() <= labels["bridge-api"].items()
    assert not selectors["bridge-api"].items() <= labels["bridge-worker"].items()


def test_workers_take_no_connections_and_the_api_only_those_of_its_port() -> None:
    policies = _objects(REQUIRED, "NetworkPolicy")

    assert "ingress" not in policies["bridge-worker"]["spec"]
    assert "Ingress" in policies["bridge-worker"]["spec"]["policyTypes"]
    (rule,) = policies["bridge-api"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_service_accounts_are_those_of_the_pods() -> None:
    pods = {name: each["spec"]["template"]["spec"] for name, each in _objects(ALL, "Deployment").items()}
    accounts = _objects(ALL, "ServiceAccount")

    assert {name: pod["serviceAccountName"] for name, pod in pods.items()} == {
        "bridge-api": "bridge-api",
        "bridge-worker": "given",
    }
    assert set(accounts) == {"bridge-api"}
    assert "eks.amazonaws.com/role-arn" in accounts["bridge-api"]["metadata"]["annotations"]
