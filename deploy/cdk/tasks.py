# SPDX-License-Identifier: Apache-2.0
"""Task definitions: one image, a command for each kind of process, and as few rights as each needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from findings import acknowledge
from network import LOG_RETENTION
from parameters import REPOSITORY_ROOT, Parameters

#: The longest that Fargate takes between SIGTERM and SIGKILL.
STOP_TIMEOUT = Duration.seconds(120)
CONTAINER = "bridge"
#: Numeric, as `USER` of the Dockerfile.
_USER = "10001:10001"
#: Proxied bodies spill to /tmp. 21 GiB is Fargate's smallest choice above its 20.
_EPHEMERAL_STORAGE_GIB = 21
_MAX_OPEN_FILES = 65_536
#: What the Dockerfile does not copy: tests, and a checkout's data, environments and caches.
_BUILD_EXCLUDES = ["deploy", "tests", ".git", ".data", ".venv*", ".*_cache", "**/node_modules", "**/__pycache__"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One kind of process: its command, its size, what it reads and what it may do."""

    command: list[str]
    cpu: int
    memory_mib: int
    environment: Mapping[str, str]
    secrets: Mapping[str, ecs.Secret]
    statements: list[iam.PolicyStatement] = field(default_factory=list)
    port: int | None = None


class BridgeTask(Construct):
    """A Fargate task definition: read-only, unprivileged, with a log group of its own."""

    def __init__(
        self, scope: Construct, construct_id: str, *, process: Process, parameters: Parameters, key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(
            self, "Role", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"), description=construct_id
        )
        for statement in process.statements:
            self.role.add_to_policy(statement)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            cpu=process.cpu,
            memory_limit_mib=process.memory_mib,
            ephemeral_storage_gib=_EPHEMERAL_STORAGE_GIB,
            task_role=self.role,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=getattr(ecs.CpuArchitecture, parameters.architecture),
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
        )
        self.definition.obtain_execution_role().add_to_principal_policy(use_of_key(self, key, "kms:Decrypt"))
        # Retained: a first deployment that fails deletes its stack, and the log has the reason.
        self.log_group = logs.LogGroup(
            self, "Log", encryption_key=key, retention=LOG_RETENTION, removal_policy=RemovalPolicy.RETAIN
        )
        self._add_container(process, image_of(self, parameters))
        self._acknowledge(process)

    def _add_container(self, process: Process, image: ecs.ContainerImage) -> None:
        container = self.definition.add_container(
            CONTAINER,
            image=image,
            command=process.command,
            user=_USER,
            environment=dict(process.environment),
            secrets=dict(process.secrets),
            readonly_root_filesystem=True,
            stop_timeout=STOP_TIMEOUT,
            linux_parameters=_no_capabilities(self),
            logging=ecs.LogDriver.aws_logs(log_group=self.log_group, stream_prefix=self.node.id.lower()),
        )
        container.add_ulimits(
            ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=_MAX_OPEN_FILES, hard_limit=_MAX_OPEN_FILES)
        )
        # Empty and writable, as the image's VOLUME /tmp is.
        self.definition.add_volume(name="tmp")
        container.add_mount_points(ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False))  # noqa: S108 - the task's own
        if process.port:
            container.add_port_mappings(ecs.PortMapping(container_port=process.port))

    def _acknowledge(self, process: Process) -> None:
        acknowledge(
            self.definition,
            "AwsSolutions-ECS2",
            "Settings are environment variables; secrets come from Secrets Manager.",
        )
        acknowledge(
            self.definition,
            "AwsSolutions-IAM5[Resource::*]",
            "ecr:GetAuthorizationToken can't be limited to a resource.",
        )
        if any("*" in statement.resources for statement in process.statements):
            acknowledge(self.role, "AwsSolutions-IAM5[Resource::*]", "AccessUI can't be limited to a resource.")


def use_of_key(scope: Construct, key: kms.IKey, *actions: str) -> iam.PolicyStatement:
    """Return the right to use the key for secrets: Secrets Manager asks for it in the name of its caller."""
    service = f"secretsmanager.{Stack.of(scope).region}.amazonaws.com"
    return iam.PolicyStatement(
        sid="UseKeyForSecrets",
        actions=list(actions),
        resources=[key.key_arn],
        conditions={"StringEquals": {"kms:ViaService": service}},
    )


def image_of(scope: Construct, parameters: Parameters) -> ecs.ContainerImage:
    """Return the image by digest, or one that the deployment builds from this checkout."""
    if parts := parameters.image_parts:
        repository = ecr.Repository.from_repository_name(scope, "Repository", parts[0])
        return ecs.ContainerImage.from_ecr_repository(repository, parts[1])
    return ecs.ContainerImage.from_asset(str(REPOSITORY_ROOT), exclude=_BUILD_EXCLUDES)


def _no_capabilities(scope: Construct) -> ecs.LinuxParameters:
    """Drop every capability. The process stays PID 1, so it gets the SIGTERM itself."""
    linux = ecs.LinuxParameters(scope, "Linux", init_process_enabled=False)
    linux.drop_capabilities(ecs.Capability.ALL)
    return linux
