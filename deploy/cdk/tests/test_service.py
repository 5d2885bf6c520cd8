# SPDX-License-Identifier: Apache-2.0
"""The replaceable stack: tasks, their settings, their scaling, and the way back from a bad deployment."""

import json
import re
from typing import Any

import pytest
from conftest import ROOT, UPSTREAM_ROLE, VARIANTS, Variant, synthesised

from environment import IDLE_TIMEOUT_S, SHUTDOWN_DELAY_S, SHUTDOWN_TIMEOUT_S
from parameters import known_settings

TASKS = ("Api", "Worker", "Keys")
STEP_ADJUSTMENTS = {"Lower": [-1], "Upper": [1, 2]}


def _task(variant: Variant, name: str) -> dict[str, Any]:
    return variant.service.one("ECS::TaskDefinition", f"{name}Task")


def _container(variant: Variant, name: str) -> dict[str, Any]:
    (container,) = _task(variant, name)["ContainerDefinitions"]
    return dict(container)


def _environment(variant: Variant, name: str) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in _container(variant, name)["Environment"]}


def _service(variant: Variant, name: str) -> dict[str, Any]:
    return variant.service.one("ECS::Service", f"{name}Service")


def _seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_every_setting_that_a_container_gets_exists(variant: Variant) -> None:
    given = {
        each["Name"]
        for name in TASKS
        for each in (*_container(variant, name)["Environment"], *_container(variant, name)["Secrets"])
    }

    assert given - known_settings() == set()
    assert {name for name in given if not name.startswith("BRIDGE_")} == set()


def test_urls_come_from_secrets_alone(variant: Variant) -> None:
    for name in TASKS:
        assert {each["Name"] for each in _container(variant, name)["Secrets"]} == {
            "BRIDGE_STORE_URL",
            "BRIDGE_BROKER_URL",
        }
        assert not {key for key in _environment(variant, name) if key.endswith("_URL")}


@pytest.mark.parametrize(("name", "cpu", "memory"), [("Api", "1024", "2048"), ("Worker", "512", "1024")])
def test_tasks_are_sized(server: Variant, name: str, cpu: str, memory: str) -> None:
    task = _task(server, name)

    assert (task["Cpu"], task["Memory"]) == (cpu, memory)
    assert task["EphemeralStorage"] == {"SizeInGiB": 21}


def test_api_and_workers_are_one_image_by_digest(server: Variant) -> None:
    images = [json.dumps(_container(server, name)["Image"]) for name in TASKS]

    assert len(set(images)) == 1
    assert f"@sha256:{'0' * 64}" in images[0]
    assert [_container(server, name)["Command"] for name in ("Api", "Worker")] == [
        ["mlflow-bridge-api"],
        ["mlflow-bridge-worker"],
    ]


def test_an_image_can_be_built_from_the_checkout() -> None:
    assert "container-assets" in json.dumps(_container(synthesised("new-app"), "Api")["Image"])
    assert _task(synthesised("new-app"), "Api")["RuntimePlatform"]["CpuArchitecture"] == "ARM64"


def test_containers_can_change_nothing_and_have_no_privileges(variant: Variant) -> None:
    for name in TASKS:
        container = _container(variant, name)

        assert container["ReadonlyRootFilesystem"]
        assert container["User"] == "10001:10001"
        assert container["LinuxParameters"] == {
            "Capabilities": {"Drop": ["ALL"]},
            "InitProcessEnabled": False,
        }
        assert container["MountPoints"] == [{"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}]  # noqa: S108
        assert container["Ulimits"] == [{"Name": "nofile", "SoftLimit": 65536, "HardLimit": 65536}]


def test_the_image_lets_its_user_write_to_the_mounted_directory() -> None:
    # ECS gives a volume the owner and mode that the image's VOLUME has; without one it is root's, 0755.
    dockerfile = (ROOT / "Dockerfile").read_text()

    assert re.search(r'^VOLUME \["/tmp"\]$', dockerfile, re.MULTILINE)


def test_containers_offer_no_shell(variant: Variant) -> None:
    for name in ("Api", "Worker"):
        assert _service(variant, name)["EnableExecuteCommand"] is False


def test_a_stop_ends_before_fargate_kills(variant: Variant) -> None:
    for name in ("Api", "Worker"):
        settings = _environment(variant, name)
        delay, timeout = settings["BRIDGE_SHUTDOWN_DELAY"], settings["BRIDGE_SHUTDOWN_TIMEOUT"]

        assert (_seconds(delay), _seconds(timeout)) == (SHUTDOWN_DELAY_S, SHUTDOWN_TIMEOUT_S)
        assert _container(variant, name)["StopTimeout"] == 120
        assert SHUTDOWN_DELAY_S + SHUTDOWN_TIMEOUT_S < 120


def test_the_api_trusts_one_proxy_and_outlasts_its_idle_connections(variant: Variant) -> None:
    settings = _environment(variant, "Api")

    assert settings["BRIDGE_TRUSTED_PROXIES"] == "1"
    assert settings["BRIDGE_HOST"] == "0.0.0.0"  # noqa: S104
    assert settings["BRIDGE_AUTH"].startswith("keys")
    assert _seconds(settings["BRIDGE_IDLE_TIMEOUT"]) == IDLE_TIMEOUT_S


def test_the_rate_follows_the_size_of_a_created_server() -> None:
    created = _environment(synthesised("new-server"), "Worker")

    assert (created["BRIDGE_UPSTREAM_RATE"], created["BRIDGE_UPSTREAM_BURST"]) == ("50", "100")
    assert "BRIDGE_UPSTREAM_RATE" not in _environment(synthesised("given-server"), "Worker")


def test_the_operators_settings_reach_every_process() -> None:
    for name in TASKS:
        settings = _environment(synthesised("given-app"), name)

        assert settings["BRIDGE_ASSUME_ROLE_ARN"] == UPSTREAM_ROLE
        assert settings["BRIDGE_AUTH"] == "keys,sigv4"


def test_only_the_api_can_read_the_encryption_key(variant: Variant) -> None:
    assert "BRIDGE_ENCRYPTION_KEYS_SECRET_ARN" in _environment(variant, "Api")
    assert "BRIDGE_ENCRYPTION_KEYS_SECRET_ARN" not in _environment(variant, "Worker")


def test_a_deployment_keeps_all_tasks_and_goes_back_by_itself(variant: Variant) -> None:
    for name in ("Api", "Worker"):
        deployment = _service(variant, name)["DeploymentConfiguration"]

        # Only the rolling strategy has a circuit breaker.
        assert deployment.get("Strategy", "ROLLING") == "ROLLING"
        assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)
        assert deployment["DeploymentCircuitBreaker"] == {
            "Enable": True,
            "Rollback": True,
            "ResetOnHealthyTask": False,
            "ThresholdConfiguration": {"Type": "COUNT", "Value": 3},
        }
        assert deployment["Alarms"]["Enable"]
        assert deployment["Alarms"]["Rollback"]
        assert len(deployment["Alarms"]["AlarmNames"]) == 1


def test_deployments_go_back_on_failed_requests_and_on_missing_workers(variant: Variant) -> None:
    alarms = {
        name: json.dumps(_service(variant, name)["DeploymentConfiguration"]["Alarms"]) for name in ("Api", "Worker")
    }

    assert "AlarmsRequestsFail" in alarms["Api"]
    assert "AlarmsNoWorkers" in alarms["Worker"]


def test_tasks_are_spread_over_two_zones_and_unreachable_from_outside(variant: Variant) -> None:
    for name in ("Api", "Worker"):
        service = _service(variant, name)
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]

        assert service["AvailabilityZoneRebalancing"] == "ENABLED"
        assert service["PlatformVersion"] == "1.4.0"
        assert network["AssignPublicIp"] == "DISABLED"
        assert len(network["Subnets"]) == 2


def test_tasks_reach_https_and_the_stores_only(variant: Variant) -> None:
    tasks = variant.service.one("EC2::SecurityGroup", "Tasks")

    assert [(rule["FromPort"], rule["ToPort"]) for rule in tasks["SecurityGroupEgress"]] == [(443, 443)]
    further = [each["Properties"] for each in variant.service.all("EC2::SecurityGroupEgress").values()]
    assert {rule["FromPort"] for rule in further} == {6379, 8080}
    assert all("DestinationSecurityGroupId" in rule for rule in further)


def test_workers_scale_on_what_waits_for_a_worker(variant: Variant) -> None:
    policies = variant.service.all("ApplicationAutoScaling::ScalingPolicy")
    alarms = {
        key: alarm["Properties"]
        for key, alarm in variant.service.all("CloudWatch::Alarm").items()
        if "OldestDue" in key
    }

    for side, adjustments in STEP_ADJUSTMENTS.items():
        (policy,) = (each["Properties"] for key, each in policies.items() if f"{side}Policy" in key)
        steps = policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
        assert [step["ScalingAdjustment"] for step in steps] == adjustments
    assert {alarm["MetricName"] for alarm in alarms.values()} == {"oldest_due_seconds"}
    assert sorted(alarm["Threshold"] for alarm in alarms.values()) == [1, 5]


def test_there_are_at_least_two_of_each(variant: Variant) -> None:
    targets = variant.service.all("ApplicationAutoScaling::ScalableTarget").values()

    assert [target["Properties"]["MinCapacity"] for target in targets] == [2, 2]
    assert [_service(variant, name)["DesiredCount"] for name in ("Api", "Worker")] == [2, 2]


def test_the_first_key_goes_into_a_secret_and_no_log(variant: Variant) -> None:
    command = _container(variant, "Keys")["Command"]

    assert command[:6] == ["mlflow-bridge", "keys", "create", "operator", "--admin", "--to-secret"]
    assert "FirstKey" in json.dumps(command[6])
    assert "aws ecs run-task" in json.dumps(variant.service.template["Outputs"]["FirstKeyCommand"])


def test_doctor_runs_where_the_api_runs(variant: Variant) -> None:
    command = json.dumps(variant.service.template["Outputs"]["DoctorCommand"])

    assert "ApiTaskDefinition" in command
    assert "mlflow-bridge" in command
    assert "doctor" in command


def test_names_follow_the_deployment() -> None:
    assert VARIANTS["given-app"]["name"] == "other"
    assert _environment(synthesised("given-app"), "Api")["BRIDGE_EMF_NAMESPACE"] == "MLflowBridge/other"
