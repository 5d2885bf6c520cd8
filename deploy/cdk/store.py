# SPDX-License-Identifier: Apache-2.0
"""The retained stack: network, key, accepted writes, secrets, and the MLflow behind the bridge.

No deployment of code touches it. Deleting it leaves whatever holds data.
"""

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from findings import acknowledge
from network import Network
from parameters import Parameters
from upstream import CreatedUpstream
from valkey import PORT, DurableStore, Placement, acknowledge_unrotated

#: 43 letters and digits are the unpadded base64 of 32 bytes, which BRIDGE_ENCRYPTION_KEYS takes.
_ENCRYPTION_KEY_LENGTH = 43
_LOG_LIFETIME = Duration.days(90)


class StoreStack(Stack):
    """What must outlive every version of the bridge."""

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters) -> None:
        super().__init__(
            scope,
            construct_id,
            description="MLflow Bridge: accepted writes, secrets and network (retained)",
            termination_protection=True,
        )
        self.key = _data_key(self)
        self.network = Network(self, "Network", parameters=parameters, key=self.key)
        self.log_bucket = _log_bucket(self)
        self.placement = Placement(network=self.network, key=self.key, name=parameters.name)
        self.store = DurableStore(
            self, "Store", placement=self.placement, node=parameters.store_node, shards=parameters.store_shards
        )
        self.store_clients = _clients_of(self.store, self.network)
        self.encryption_key = self._secret("EncryptionKey", "Encrypts the secrets of clients that sign")
        self.first_key = self._secret("FirstKey", "The first operator's key, once `keys create` has written it")
        self.upstream_arn = self._upstream(parameters)
        CfnOutput(self, "UpstreamArn", value=self.upstream_arn)
        CfnOutput(self, "FirstKeySecret", value=self.first_key.secret_arn)
        CfnOutput(
            self,
            "StoreDurability",
            value=self.store.group.attr_effective_durability,
            description="Must be sync: an operator can change it in place",
        )

    def _secret(self, construct_id: str, description: str) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=description,
            encryption_key=self.key,
            removal_policy=RemovalPolicy.RETAIN,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                exclude_punctuation=True, password_length=_ENCRYPTION_KEY_LENGTH
            ),
        )
        acknowledge_unrotated(secret, "Replaced by an operator's command, which changes what it protects as well.")
        return secret

    def _upstream(self, parameters: Parameters) -> str:
        if not parameters.creates_upstream:
            return parameters.upstream
        return CreatedUpstream(self, "Upstream", parameters=parameters, log_bucket=self.log_bucket).arn


def _data_key(scope: Stack) -> kms.Key:
    """Return the key of everything at rest. Logs and alarms of this account may use it through their services."""
    key = kms.Key(scope, "Key", enable_key_rotation=True, removal_policy=RemovalPolicy.RETAIN)
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LogGroups",
            principals=[iam.ServicePrincipal(f"logs.{scope.region}.amazonaws.com")],
            actions=["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": scope.format_arn(service="logs", resource="*"),
                }
            },
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="AlarmTopic",
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": scope.account}},
        )
    )
    key.add_to_resource_policy(
        iam.PolicyStatement(
            sid="DeploymentTopic",
            # EventBridge names no source account when it publishes to a topic.
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=["*"],
        )
    )
    return key


def _log_bucket(scope: Construct) -> s3.Bucket:
    """Return where access logs go. Load balancers can't write to a bucket that a customer's key encrypts."""
    bucket = s3.Bucket(
        scope,
        "AccessLogs",
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        lifecycle_rules=[s3.LifecycleRule(expiration=_LOG_LIFETIME)],
        removal_policy=RemovalPolicy.RETAIN,
    )
    load_balancers = Stack.of(scope).format_arn(
        service="elasticloadbalancing", resource="loadbalancer", resource_name="*"
    )
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="LoadBalancerLogs",
            principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
            actions=["s3:PutObject"],
            resources=[bucket.arn_for_objects("load-balancer/AWSLogs/*")],
            conditions={"ArnLike": {"aws:SourceArn": load_balancers}},
        )
    )
    acknowledge(bucket, "AwsSolutions-S1", "It holds the access logs.")
    return bucket


def _clients_of(store: DurableStore, network: Network) -> ec2.SecurityGroup:
    """Return the group that tasks join to reach the store. It is here, so that this stack needs no other one."""
    clients = ec2.SecurityGroup(
        store, "Clients", vpc=network.vpc, description="Clients of the store", allow_all_outbound=False
    )
    clients.connections.allow_to(store.security_group, ec2.Port.tcp(PORT), "Store")
    return clients
