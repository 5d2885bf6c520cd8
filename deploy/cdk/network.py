# SPDX-License-Identifier: Apache-2.0
"""The network: two zones with public, private and isolated subnets, or an existing VPC."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from parameters import Parameters

LOG_RETENTION = logs.RetentionDays.THREE_MONTHS


class Network(Construct):
    """A VPC and where things stand in it: the load balancer, the tasks, the stores."""

    def __init__(self, scope: Construct, construct_id: str, *, parameters: Parameters, key: kms.IKey) -> None:
        super().__init__(scope, construct_id)
        self.vpc = self._existing(parameters) if parameters.vpc else self._created(parameters, key)
        self.task_subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        isolated = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.store_subnets = self.task_subnets if parameters.vpc else isolated
        public = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
        self.edge_subnets = public if parameters.internet_facing else self.task_subnets

    def _existing(self, parameters: Parameters) -> ec2.IVpc:
        """Name everything: a look-up would ask AWS during synthesis."""
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=parameters.vpc,
            availability_zones=list(parameters.zones),
            private_subnet_ids=list(parameters.private_subnets),
            public_subnet_ids=list(parameters.public_subnets) or None,
        )

    def _created(self, parameters: Parameters, key: kms.IKey) -> ec2.IVpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(parameters.cidr),
            max_azs=2,
            nat_gateways=parameters.nat_gateways,
            # CDK empties the default security group with a Lambda function. Nothing here uses that group.
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24),
                ec2.SubnetConfiguration(name="Tasks", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=22),
                ec2.SubnetConfiguration(name="Stores", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
            ],
            # The layers of images come from S3.
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        rejected = logs.LogGroup(
            self,
            "RejectedTraffic",
            encryption_key=key,
            retention=LOG_RETENTION,
            removal_policy=RemovalPolicy.DESTROY,
        )
        vpc.add_flow_log(
            "RejectedTraffic",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(rejected),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        return vpc
