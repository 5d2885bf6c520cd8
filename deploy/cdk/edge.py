# SPDX-License-Identifier: Apache-2.0
"""The way in: an HTTPS load balancer in front of the api, and a web application firewall in front of that."""

from aws_cdk import ArnFormat, Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from findings import acknowledge
from network import LOG_RETENTION, Network
from parameters import Parameters

API_PORT = 8080
#: Shorter than BRIDGE_IDLE_TIMEOUT, or the load balancer sends requests into connections that end.
IDLE_TIMEOUT = Duration.seconds(60)
#: The longest proxied request that a deployment waits for.
DEREGISTRATION_DELAY = Duration.seconds(60)
#: Rules of AWSManagedRulesCommonRuleSet that MLflow's own traffic matches. Nothing checks the names offline:
#: https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
COUNTED_RULES = (
    "SizeRestrictions_BODY",  # A load balancer shows WAF 8 KiB; a log-batch of a hundred metrics is longer.
    "SizeRestrictions_QUERYSTRING",  # Searches carry long filters.
    "CrossSiteScripting_BODY",  # Tags hold markup: notes, descriptions.
    "GenericLFI_BODY",  # Params hold paths.
    "GenericRFI_BODY",  # Params and tags hold URLs.
    "EC2MetaDataSSRF_BODY",  # The same.
)
_REDACTED_HEADERS = ("authorization", "cookie", "x-api-key")


class Edge(Construct):
    """An Application Load Balancer with one HTTPS listener, its target group, and its firewall."""

    def __init__(
        self, scope: Construct, construct_id: str, *, parameters: Parameters, network: Network, log_bucket: s3.IBucket
    ) -> None:
        super().__init__(scope, construct_id)
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=network.vpc, description="Load balancer", allow_all_outbound=False
        )
        for block in parameters.client_blocks:
            self.security_group.add_ingress_rule(ec2.Peer.ipv4(block), ec2.Port.tcp(443), "Clients")
        if "0.0.0.0/0" in parameters.client_blocks:
            acknowledge(
                self.security_group,
                "AwsSolutions-EC23",
                "Chosen by internet_facing; HTTPS only, behind a firewall and keys.",
            )
        self.load_balancer = _load_balancer(self, parameters, network, self.security_group)
        _write_access_logs(self.load_balancer, log_bucket)
        self.target_group = _target_group(self, network)
        self.load_balancer.add_listener(
            "Https",
            port=443,
            open=False,
            certificates=[elbv2.ListenerCertificate.from_arn(parameters.certificate)],
            ssl_policy=elbv2.SslPolicy.TLS13_RES,
            default_target_groups=[self.target_group],
        )

    def protect(self, *, rate: int, key: kms.IKey, name: str) -> wafv2.CfnWebACL:
        """Put the firewall in front, and log what it blocks without the credentials that requests carry."""
        acl = wafv2.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action={"allow": {}},
            visibility_config=_visibility("Firewall"),
            custom_response_bodies={"rate": {"contentType": "APPLICATION_JSON", "content": _RATE_ANSWER}},
            rules=[_rate_rule(rate), _common_rules()],
        )
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=self.load_balancer.load_balancer_arn, web_acl_arn=acl.attr_arn
        )
        blocked = logs.LogGroup(
            self,
            "Blocked",
            # WAF takes no other beginning. The end differs for each stack: the group outlives its stack.
            log_group_name=f"aws-waf-logs-{name}-{_stack_uuid(self)}",
            encryption_key=key,
            retention=LOG_RETENTION,
            removal_policy=RemovalPolicy.RETAIN,
        )
        wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=acl.attr_arn,
            log_destination_configs=[_plain_arn(blocked)],
            redacted_fields=[{"singleHeader": {"Name": header}} for header in _REDACTED_HEADERS],
            logging_filter=_BLOCKED_ONLY,
        )
        return acl


#: What MLflow's clients understand, and repeat later.
_RATE_ANSWER = '{"error_code": "RESOURCE_EXHAUSTED", "message": "Too many requests from this address."}'
_BLOCKED_ONLY = {
    "DefaultBehavior": "DROP",
    "Filters": [
        {"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": [{"ActionCondition": {"Action": "BLOCK"}}]}
    ],
}


def _load_balancer(
    scope: Construct, parameters: Parameters, network: Network, security_group: ec2.SecurityGroup
) -> elbv2.ApplicationLoadBalancer:
    return elbv2.ApplicationLoadBalancer(
        scope,
        "LoadBalancer",
        vpc=network.vpc,
        vpc_subnets=network.edge_subnets,
        internet_facing=parameters.internet_facing,
        security_group=security_group,
        idle_timeout=IDLE_TIMEOUT,
        deletion_protection=True,
        drop_invalid_header_fields=True,
        desync_mitigation_mode=elbv2.DesyncMitigationMode.STRICTEST,
        # Clients that sign have signed the name that they used.
        preserve_host_header=True,
        xff_header_processing_mode=elbv2.XffHeaderProcessingMode.APPEND,
    )


def _write_access_logs(load_balancer: elbv2.ApplicationLoadBalancer, bucket: s3.IBucket) -> None:
    """Set the attributes themselves: CDK's own method wants to know the region."""
    load_balancer.set_attribute("access_logs.s3.enabled", "true")
    load_balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
    load_balancer.set_attribute("access_logs.s3.prefix", "load-balancer")


def _target_group(scope: Construct, network: Network) -> elbv2.ApplicationTargetGroup:
    return elbv2.ApplicationTargetGroup(
        scope,
        "Api",
        vpc=network.vpc,
        port=API_PORT,
        protocol=elbv2.ApplicationProtocol.HTTP,
        target_type=elbv2.TargetType.IP,
        deregistration_delay=DEREGISTRATION_DELAY,
        load_balancing_algorithm_type=elbv2.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
        # Not /readyz: it answers 503 while the store is down, and ECS replaces tasks that fail this check. An outage of
        # the store would then kill every task, and trip a deployment's circuit breaker.
        health_check=elbv2.HealthCheck(
            path="/healthz",
            healthy_http_codes="200",
            interval=Duration.seconds(10),
            timeout=Duration.seconds(5),
            healthy_threshold_count=2,
            unhealthy_threshold_count=3,
        ),
    )


def _rate_rule(rate: int) -> dict[str, object]:
    response = {"responseCode": 429, "customResponseBodyKey": "rate"}
    return {
        "name": "Rate",
        "priority": 0,
        "action": {"block": {"customResponse": response}},
        "statement": {"rateBasedStatement": {"limit": rate, "aggregateKeyType": "IP", "evaluationWindowSec": 300}},
        "visibilityConfig": _visibility("Rate"),
    }


def _common_rules() -> dict[str, object]:
    overrides = [{"name": name, "actionToUse": {"count": {}}} for name in COUNTED_RULES]
    group = {"vendorName": "AWS", "name": "AWSManagedRulesCommonRuleSet", "ruleActionOverrides": overrides}
    return {
        "name": "Common",
        "priority": 1,
        "overrideAction": {"none": {}},
        "statement": {"managedRuleGroupStatement": group},
        "visibilityConfig": _visibility("Common"),
    }


def _stack_uuid(scope: Construct) -> str:
    """Return the last part of `arn:...:stack/NAME/UUID`."""
    return Fn.select(2, Fn.split("/", Stack.of(scope).stack_id))


def _plain_arn(group: logs.LogGroup) -> str:
    """Return the ARN without CloudFormation's trailing `:*`."""
    return Stack.of(group).format_arn(
        service="logs",
        resource="log-group",
        resource_name=group.log_group_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def _visibility(name: str) -> dict[str, object]:
    """Return what WAF counts. No samples: they would hold bodies and credentials."""
    return {"cloudWatchMetricsEnabled": True, "sampledRequestsEnabled": False, "metricName": name}
