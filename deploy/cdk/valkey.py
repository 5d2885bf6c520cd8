# SPDX-License-Identifier: Apache-2.0
"""Valkey servers on ElastiCache: the durable store, and the disposable broker."""

from dataclasses import dataclass
from typing import Any

from aws_cdk import CfnResource, Duration, RemovalPolicy, SecretValue
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from findings import acknowledge
from network import Network

PORT = 6379
_ENGINE = "valkey"
_ENGINE_VERSION = "9.0"
_PARAMETER_FAMILY = "valkey9"
_USER_NAME = "bridge"
#: Everything but administration. CONFIG is refused, as on any managed store.
_ACCESS = "on ~* &* +@all -@admin -@dangerous +info"
#: What a client of a cluster asks for where the slots are.
_CLUSTER_ACCESS = f"{_ACCESS} +cluster|slots +cluster|shards"
_NO_ACCESS = "off ~* -@all"
_PERIOD = Duration.minutes(1)
_BROKER_NODE = "cache.t4g.micro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What both servers share: where they stand, what encrypts them, and how their names begin."""

    network: Network
    key: kms.IKey
    name: str


class DurableStore(Construct):
    """The store of accepted writes: cluster mode with synchronous durability, over two zones, retained.

    ElastiCache offers durability for cluster mode on Valkey 9.0 and later, not on burstable nodes or Serverless.
    """

    def __init__(self, scope: Construct, construct_id: str, *, placement: Placement, node: str, shards: int) -> None:
        super().__init__(scope, construct_id)
        account = _Account(self, "Account", name=f"{placement.name}-store", access=_CLUSTER_ACCESS, key=placement.key)
        self.security_group = _security_group(self, placement)
        parameter_group = elasticache.CfnParameterGroup(
            self,
            "Parameters",
            cache_parameter_group_family=_PARAMETER_FAMILY,
            description="Cluster mode, never evicts",
            properties={"cluster-enabled": "yes", "maxmemory-policy": "noeviction"},
        )
        self.group = elasticache.CfnReplicationGroup(
            self,
            "Group",
            replication_group_description="Accepted writes of MLflow Bridge",
            **_common(self, placement, account, self.security_group),
            cache_node_type=node,
            cache_parameter_group_name=parameter_group.ref,
            cluster_mode="enabled",
            durability="sync",
            num_node_groups=shards,
            replicas_per_node_group=1,
            snapshot_retention_limit=7,
            snapshot_window="02:00-03:00",
        )
        _acknowledge_server(self.group)
        for resource in (self.group, parameter_group, *account.resources):
            resource.apply_removal_policy(RemovalPolicy.RETAIN)
        #: The names of the nodes of each shard: a primary and a replica, whichever it is at the moment.
        self.shards = [[f"{self.group.ref}-{shard:04}-{node:03}" for node in (1, 2)] for shard in range(1, shards + 1)]
        self.url = _url_secret(
            self,
            account,
            key=placement.key,
            scheme="rediss+cluster",
            address=self.group.attr_configuration_end_point_address,
            suffix="",
        )

    def usage(self, metric: str) -> list[cloudwatch.MathExpression]:
        """Return a metric of ElastiCache for each shard: the larger value of its two nodes."""
        return [
            cloudwatch.MathExpression(
                expression="MAX(METRICS())",
                label=f"{metric} {number}",
                period=_PERIOD,
                using_metrics={f"node{index}": _node_metric(node, metric) for index, node in enumerate(nodes)},
            )
            for number, nodes in enumerate(self.shards, start=1)
        ]


class DisposableBroker(Construct):
    """The broker of hints: Celery can't use a cluster, and what it holds may be lost at any time."""

    def __init__(self, scope: Construct, construct_id: str, *, placement: Placement) -> None:
        super().__init__(scope, construct_id)
        account = _Account(self, "Account", name=f"{placement.name}-broker", access=_ACCESS, key=placement.key)
        self.security_group = _security_group(self, placement)
        self.group = elasticache.CfnReplicationGroup(
            self,
            "Group",
            replication_group_description="Hints of MLflow Bridge, disposable",
            **_common(self, placement, account, self.security_group),
            cache_node_type=_BROKER_NODE,
            cache_parameter_group_name=f"default.{_PARAMETER_FAMILY}",
            cluster_mode="disabled",
            num_cache_clusters=2,
        )
        _acknowledge_server(self.group)
        self.url = _url_secret(
            self,
            account,
            key=placement.key,
            scheme="rediss",
            address=self.group.attr_primary_end_point_address,
            # Kombu checks no certificate unless the URL asks for it.
            suffix="/0?ssl_cert_reqs=required",
        )


class _Account(Construct):
    """A user with a generated password. ElastiCache may require a default user as well: that one is off."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, access: str, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.secret = secretsmanager.Secret(
            self,
            "Password",
            description=f"Password of {name}",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(exclude_punctuation=True, password_length=64),
        )
        acknowledge_unrotated(self.secret, "A new password needs a deployment: it is part of the URL that tasks read.")
        self.password = self.secret.secret_value.unsafe_unwrap()
        users = [
            self._user("User", user_id=f"{name}-user", user_name=_USER_NAME, access=access),
            self._user("DisabledUser", user_id=f"{name}-default", user_name="default", access=_NO_ACCESS),
        ]
        self.group = elasticache.CfnUserGroup(
            self, "Group", engine=_ENGINE, user_group_id=f"{name}-users", user_ids=[user.ref for user in users]
        )
        secret_resource = self.secret.node.default_child
        assert isinstance(secret_resource, CfnResource)  # noqa: S101 - narrows the type
        self.resources: list[CfnResource] = [secret_resource, *users, self.group]

    def _user(self, construct_id: str, *, user_id: str, user_name: str, access: str) -> elasticache.CfnUser:
        return elasticache.CfnUser(
            self,
            construct_id,
            engine=_ENGINE,
            user_id=user_id,
            user_name=user_name,
            access_string=access,
            authentication_mode={"Type": "password", "Passwords": [self.password]},
        )


def acknowledge_unrotated(secret: secretsmanager.Secret, reason: str) -> None:
    """Accept that a secret does not rotate by itself."""
    acknowledge(secret, "AwsSolutions-SMG4", reason)


def _node_metric(node: str, metric: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/ElastiCache",
        metric_name=metric,
        dimensions_map={"CacheClusterId": node},
        statistic="Maximum",
        period=_PERIOD,
    )


def _common(
    scope: Construct, placement: Placement, account: _Account, security_group: ec2.ISecurityGroup
) -> dict[str, Any]:
    """Return what both servers have: TLS, encryption at rest, one user, a replica in another zone."""
    subnets = elasticache.CfnSubnetGroup(
        scope,
        "Subnets",
        description="Private subnets",
        subnet_ids=placement.network.vpc.select_subnets(
            subnet_type=placement.network.store_subnets.subnet_type
        ).subnet_ids,
    )
    return {
        "engine": _ENGINE,
        "engine_version": _ENGINE_VERSION,
        "port": PORT,
        "automatic_failover_enabled": True,
        "multi_az_enabled": True,
        "auto_minor_version_upgrade": True,
        "transit_encryption_enabled": True,
        "transit_encryption_mode": "required",
        "at_rest_encryption_enabled": True,
        "kms_key_id": placement.key.key_arn,
        "user_group_ids": [account.group.ref],
        "cache_subnet_group_name": subnets.ref,
        "security_group_ids": [security_group.security_group_id],
    }


def _security_group(scope: Construct, placement: Placement) -> ec2.SecurityGroup:
    """Return a group that nothing may reach yet, and that reaches nothing."""
    return ec2.SecurityGroup(
        scope,
        "SecurityGroup",
        vpc=placement.network.vpc,
        description=scope.node.id,
        allow_all_outbound=False,
    )


def _url_secret(
    scope: Construct, account: _Account, *, key: kms.IKey, scheme: str, address: str, suffix: str
) -> secretsmanager.Secret:
    """Return a secret that holds a whole URL, which the bridge's settings ask for."""
    url = f"{scheme}://{_USER_NAME}:{account.password}@{address}:{PORT}{suffix}"
    secret = secretsmanager.Secret(
        scope,
        "Url",
        description=f"URL of {scope.node.id}",
        encryption_key=key,
        secret_string_value=SecretValue.unsafe_plain_text(url),
    )
    acknowledge_unrotated(secret, "Made of the server's address and its user's password.")
    return secret


def _acknowledge_server(group: elasticache.CfnReplicationGroup) -> None:
    acknowledge(group, "AwsSolutions-AEC5", "Only the tasks reach it; another port hides nothing.")
    acknowledge(group, "AwsSolutions-AEC6", "A user group authenticates: the rule knows the older AUTH token only.")
