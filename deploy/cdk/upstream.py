# SPDX-License-Identifier: Apache-2.0
"""The SageMaker MLflow that the bridge writes to, where the stacks create it: a tracking server or an MLflow App."""

from aws_cdk import CfnResource, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from findings import acknowledge
from parameters import APP, Parameters

#: When AWS may update it; the bridge's queue bridges the time.
_MAINTENANCE_START = "Sun:03:00"


class CreatedUpstream(Construct):
    """A tracking server or MLflow App with its bucket of artifacts and its role, all retained."""

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters, log_bucket: s3.IBucket) -> None:
        super().__init__(scope, construct_id)
        bucket = s3.Bucket(
            self,
            "Artifacts",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=True,
            server_access_logs_bucket=log_bucket,
            server_access_logs_prefix="artifacts/",
            removal_policy=RemovalPolicy.RETAIN,
        )
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"),
            description="What MLflow itself uses for artifacts",
        )
        self._policy = _artifact_policy(self, bucket, role)
        create = self._app if parameters.upstream == APP else self._tracking_server
        self.arn = create(parameters, bucket.s3_url_for_object(), role)

    def _tracking_server(self, parameters: Parameters, artifacts: str, role: iam.Role) -> str:
        server = sagemaker.CfnMlflowTrackingServer(
            self,
            "TrackingServer",
            tracking_server_name=parameters.name,
            tracking_server_size=parameters.server_size,
            artifact_store_uri=artifacts,
            role_arn=role.role_arn,
            weekly_maintenance_window_start=_MAINTENANCE_START,
        )
        server.apply_removal_policy(RemovalPolicy.RETAIN)
        # SageMaker tries the role when it creates the server.
        server.node.add_dependency(self._policy)
        return server.attr_tracking_server_arn

    def _app(self, parameters: Parameters, artifacts: str, role: iam.Role) -> str:
        app = sagemaker.CfnMlflowApp(
            self,
            "App",
            name=parameters.name,
            artifact_store_uri=artifacts,
            role_arn=role.role_arn,
            weekly_maintenance_window_start=_MAINTENANCE_START,
        )
        app.apply_removal_policy(RemovalPolicy.RETAIN)
        app.node.add_dependency(self._policy)
        return app.attr_arn


def _artifact_policy(scope: Construct, bucket: s3.Bucket, role: iam.Role) -> iam.Policy:
    """Return what MLflow needs for artifacts, in one bucket."""
    policy = iam.Policy(scope, "ArtifactAccess", roles=[role])
    policy.add_statements(
        iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
        iam.PolicyStatement(
            actions=["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            resources=[bucket.arn_for_objects("*")],
        ),
    )
    resource = bucket.node.default_child
    assert isinstance(resource, CfnResource)  # noqa: S101 - narrows the type
    logical_id = Stack.of(scope).get_logical_id(resource)
    acknowledge(
        policy, f"AwsSolutions-IAM5[Resource::<{logical_id}.Arn>/*]", "The objects of the artifact bucket alone."
    )
    return policy
