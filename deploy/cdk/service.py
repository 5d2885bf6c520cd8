# SPDX-License-Identifier: Apache-2.0
"""The replaceable stack: api and workers on Fargate, the broker, the way in, scaling, and alarms."""

import dataclasses
import json
from collections.abc import Sequence

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from alarms import Alarms, Metrics
from dashboard import Dashboard
from edge import API_PORT, Edge
from environment import api_environment, worker_environment
from parameters import Parameters
from policy import api_actions, upstream_statements, worker_actions
from store import StoreStack
from tasks import CONTAINER, BridgeTask, Process, use_of_key
from valkey import PORT, DisposableBroker

#: Seconds that a lane has been due: below the first, a worker too many; above the others, one and two too few.
_SCALING_STEPS = (
    autoscaling.ScalingInterval(upper=1, change=-1),
    autoscaling.ScalingInterval(lower=5, change=+1),
    autoscaling.ScalingInterval(lower=30, change=+2),
)
_API_CPU_TARGET_PERCENT = 60
#: Tasks that may fail to start before a deployment is rolled back. ECS's default is never below this, but forgets the
#: failures whenever a task comes up.
_FAILED_TASKS = 3


class ServiceStack(Stack):
    """A version of the bridge. It holds nothing that a deletion would lose."""

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters, store: StoreStack) -> None:
        super().__init__(scope, construct_id, description="MLflow Bridge: api, workers and the way in (replaceable)")
        self._parameters = parameters
        self._store = store
        # By ARN: CDK then leaves the key's policy, which is in the other stack, alone. Roles get `use_of_key` instead.
        self._key = kms.Key.from_key_arn(self, "Key", store.key.key_arn)
        self._store_url = self._imported("StoreUrl", store.store.url)
        self._encryption_key = self._imported("EncryptionKey", store.encryption_key)
        self._first_key = self._imported("FirstKey", store.first_key)
        self._security_group = self._task_group()
        # Immutable, or the load balancer's rules would be added to it, in the other stack.
        self._store_clients = ec2.SecurityGroup.from_security_group_id(
            self, "StoreClients", store.store_clients.security_group_id, mutable=False
        )
        self._broker = DisposableBroker(self, "Broker", placement=dataclasses.replace(store.placement, key=self._key))
        self._security_group.connections.allow_to(self._broker.security_group, ec2.Port.tcp(PORT), "Broker")
        self._cluster = ecs.Cluster(
            self, "Cluster", vpc=store.network.vpc, container_insights_v2=ecs.ContainerInsights.ENABLED
        )
        edge = self._edge()
        metrics = Metrics(namespace=f"MLflowBridge/{parameters.name}")
        api_task = self._api(metrics)
        api = self._service("Api", api_task, parameters.api_min)
        worker = self._service("Worker", self._worker(), parameters.worker_min)
        edge.target_group.add_target(api)
        self._scale(api, worker, metrics)
        alarms = Alarms(self, "Alarms", parameters=parameters, metrics=metrics, key=self._key)
        alarms.watch_store(store.store)
        self._roll_back_on([alarms.watch_edge(edge)], api)
        self._roll_back_on([alarms.by_name["NoWorkers"]], worker)
        alarms.watch_deployments(self._cluster)
        Dashboard(self, "Dashboard", metrics=metrics, edge=edge, services=[api, worker], store=store.store)
        self._keys_task()
        CfnOutput(self, "DoctorCommand", value=self._run_task(api_task, ["mlflow-bridge", "doctor"]))
        CfnOutput(self, "LoadBalancerName", value=edge.load_balancer.load_balancer_dns_name)

    def _imported(self, construct_id: str, secret: secretsmanager.ISecret) -> secretsmanager.ISecret:
        return secretsmanager.Secret.from_secret_attributes(self, construct_id, secret_complete_arn=secret.secret_arn)

    def _task_group(self) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self, "Tasks", vpc=self._store.network.vpc, description="Tasks", allow_all_outbound=False
        )
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Upstream and AWS")
        return group

    def _edge(self) -> Edge:
        edge = Edge(
            self,
            "Edge",
            parameters=self._parameters,
            network=self._store.network,
            log_bucket=self._store.log_bucket,
        )
        edge.protect(rate=self._parameters.waf_rate, key=self._key, name=self._parameters.name)
        self._security_group.connections.allow_from(edge.security_group, ec2.Port.tcp(API_PORT), "Load balancer")
        return edge

    def _urls(self) -> dict[str, ecs.Secret]:
        return {
            "BRIDGE_STORE_URL": ecs.Secret.from_secrets_manager(self._store_url),
            "BRIDGE_BROKER_URL": ecs.Secret.from_secrets_manager(self._broker.url),
        }

    def _api(self, metrics: Metrics) -> BridgeTask:
        secret = self._encryption_key
        process = Process(
            command=["mlflow-bridge-api"],
            cpu=1024,
            memory_mib=2048,
            port=API_PORT,
            environment=api_environment(
                self._parameters,
                upstream=self._store.upstream_arn,
                metric_namespace=metrics.namespace,
                encryption_keys_secret=secret.secret_arn,
            ),
            secrets=self._urls(),
            statements=upstream_statements(self._parameters, self._store.upstream_arn, api_actions()),
        )
        task = BridgeTask(self, "ApiTask", process=process, parameters=self._parameters, key=self._key)
        secret.grant_read(task.role)
        task.role.add_to_policy(use_of_key(self, self._key, "kms:Decrypt"))
        return task

    def _worker(self) -> BridgeTask:
        process = Process(
            command=["mlflow-bridge-worker"],
            cpu=512,
            memory_mib=1024,
            environment=worker_environment(self._parameters, upstream=self._store.upstream_arn),
            secrets=self._urls(),
            statements=upstream_statements(self._parameters, self._store.upstream_arn, worker_actions()),
        )
        return BridgeTask(self, "WorkerTask", process=process, parameters=self._parameters, key=self._key)

    def _keys_task(self) -> None:
        """Add the task that creates the first operator's key: the store is private, and a log may show no key."""
        secret = self._first_key.secret_arn
        process = Process(
            command=["mlflow-bridge", "keys", "create", "operator", "--admin", "--to-secret", secret],
            cpu=256,
            memory_mib=512,
            environment=worker_environment(self._parameters, upstream=self._store.upstream_arn),
            secrets=self._urls(),
        )
        task = BridgeTask(self, "KeysTask", process=process, parameters=self._parameters, key=self._key)
        self._first_key.grant_write(task.role)
        task.role.add_to_policy(use_of_key(self, self._key, "kms:Decrypt", "kms:GenerateDataKey"))
        CfnOutput(self, "FirstKeyCommand", value=self._run_task(task), description="Creates the first operator's key")

    def _run_task(self, task: BridgeTask, command: Sequence[str] = ()) -> str:
        """Return the shell command that runs a task once, with another command if there is one."""
        subnets = self._store.network.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS).subnet_ids
        groups = [self._security_group.security_group_id, self._store_clients.security_group_id]
        network = f"awsvpcConfiguration={{subnets=[{','.join(subnets)}],securityGroups=[{','.join(groups)}]}}"
        overrides = {"containerOverrides": [{"name": CONTAINER, "command": list(command)}]}
        return (
            f"aws ecs run-task --cluster {self._cluster.cluster_name} --launch-type FARGATE"
            f" --task-definition {task.definition.task_definition_arn} --network-configuration '{network}'"
        ) + (f" --overrides '{json.dumps(overrides)}'" if command else "")

    def _service(self, construct_id: str, task: BridgeTask, count: int) -> ecs.FargateService:
        service = ecs.FargateService(
            self,
            construct_id,
            cluster=self._cluster,
            task_definition=task.definition,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            desired_count=count,
            min_healthy_percent=100,
            max_healthy_percent=200,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            vpc_subnets=self._store.network.task_subnets,
            security_groups=[self._security_group, self._store_clients],
            enable_execute_command=False,
            circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
            health_check_grace_period=Duration.seconds(60) if construct_id == "Api" else None,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )
        resource = service.node.default_child
        assert isinstance(resource, ecs.CfnService)  # noqa: S101 - narrows the type
        breaker = "DeploymentConfiguration.DeploymentCircuitBreaker"
        resource.add_property_override(f"{breaker}.ThresholdConfiguration", {"Type": "COUNT", "Value": _FAILED_TASKS})
        resource.add_property_override(f"{breaker}.ResetOnHealthyTask", value=False)
        return service

    def _scale(self, api: ecs.FargateService, worker: ecs.FargateService, metrics: Metrics) -> None:
        """Scale workers by what waits for one, not by the backlog: that also grows when upstream is the limit."""
        parameters = self._parameters
        workers = worker.auto_scale_task_count(min_capacity=parameters.worker_min, max_capacity=parameters.worker_max)
        workers.scale_on_metric(
            "OldestDue",
            metric=metrics.gauge("oldest_due_seconds", "Maximum"),
            scaling_steps=list(_SCALING_STEPS),
            cooldown=Duration.minutes(2),
            adjustment_type=autoscaling.AdjustmentType.CHANGE_IN_CAPACITY,
        )
        apis = api.auto_scale_task_count(min_capacity=parameters.api_min, max_capacity=parameters.api_max)
        apis.scale_on_cpu_utilization("Cpu", target_utilization_percent=_API_CPU_TARGET_PERCENT)

    def _roll_back_on(self, alarms: list[cloudwatch.Alarm], service: ecs.FargateService) -> None:
        service.enable_deployment_alarms(
            [alarm.alarm_name for alarm in alarms], behavior=ecs.AlarmBehavior.ROLLBACK_ON_ALARM
        )
