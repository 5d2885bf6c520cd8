# SPDX-License-Identifier: Apache-2.0
"""The retained stack: what holds accepted writes keeps them."""

import json

from conftest import APP_ARN, SERVER_ARN, Variant, synthesised

RETAINED = (
    "ElastiCache::ReplicationGroup",
    "ElastiCache::User",
    "ElastiCache::UserGroup",
    "KMS::Key",
    "S3::Bucket",
    "SageMaker::MlflowTrackingServer",
    "SageMaker::MlflowApp",
)


def test_an_acknowledged_write_survives_the_loss_of_a_node(variant: Variant) -> None:
    store = variant.store.one("ElastiCache::ReplicationGroup")

    assert store["Durability"] == "sync"
    assert (store["Engine"], store["EngineVersion"]) == ("valkey", "9.0")
    assert store["ClusterMode"] == "enabled"
    assert store["AutomaticFailoverEnabled"]
    assert store["MultiAZEnabled"]
    assert store["ReplicasPerNodeGroup"] == 1
    assert store["SnapshotRetentionLimit"] == 7


def test_the_store_stands_on_nodes_that_can_be_durable(variant: Variant) -> None:
    family = variant.store.one("ElastiCache::ReplicationGroup")["CacheNodeType"].split(".")[1]

    assert family[0] in "rmc"
    assert family[2] == "g"


def test_the_store_never_evicts(variant: Variant) -> None:
    parameters = variant.store.one("ElastiCache::ParameterGroup")

    assert parameters["CacheParameterGroupFamily"] == "valkey9"
    assert parameters["Properties"] == {"cluster-enabled": "yes", "maxmemory-policy": "noeviction"}


def test_both_servers_speak_tls_with_one_user_and_encrypt_what_they_keep(variant: Variant) -> None:
    for stack in variant.stacks:
        server = stack.one("ElastiCache::ReplicationGroup")
        (user_group,) = stack.all("ElastiCache::UserGroup")

        assert server["TransitEncryptionEnabled"]
        assert server["TransitEncryptionMode"] == "required"
        assert server["AtRestEncryptionEnabled"]
        assert server["KmsKeyId"]
        assert server["UserGroupIds"] == [{"Ref": user_group}]
        assert len(stack.one("ElastiCache::UserGroup")["UserIds"]) == 2


def test_the_user_of_the_store_may_do_everything_but_administer_it(variant: Variant) -> None:
    user = variant.store.one("ElastiCache::User", "AccountUser")

    assert user["AccessString"] == "on ~* &* +@all -@admin -@dangerous +info +cluster|slots +cluster|shards"
    assert (
        variant.service.one("ElastiCache::User", "AccountUser")["AccessString"]
        == "on ~* &* +@all -@admin -@dangerous +info"
    )


def test_the_default_user_is_off(variant: Variant) -> None:
    for stack in variant.stacks:
        user = stack.one("ElastiCache::User", "AccountDisabledUser")

        assert (user["UserName"], user["AccessString"]) == ("default", "off ~* -@all")


def test_passwords_are_generated_and_never_in_a_template(variant: Variant) -> None:
    for stack in variant.stacks:
        password = json.dumps(stack.one("ElastiCache::User", "AccountUser")["AuthenticationMode"])
        url = json.dumps(stack.one("SecretsManager::Secret", "Url")["SecretString"])

        assert "{{resolve:secretsmanager:" in password
        assert "{{resolve:secretsmanager:" in url


def test_urls_have_the_scheme_of_their_server_and_check_its_certificate(variant: Variant) -> None:
    store = json.dumps(variant.store.one("SecretsManager::Secret", "Url"))
    broker = json.dumps(variant.service.one("SecretsManager::Secret", "Url"))

    assert "rediss+cluster://bridge:" in store
    assert "ConfigurationEndPoint.Address" in store
    assert "rediss://bridge:" in broker
    assert "PrimaryEndPoint.Address" in broker
    assert ":6379/0?ssl_cert_reqs=required" in broker


def test_what_holds_data_outlives_its_stack(variant: Variant) -> None:
    kept = {key: each for kind in RETAINED for key, each in variant.store.all(kind).items()} | {
        key: each
        for key, each in variant.store.all("SecretsManager::Secret").items()
        if not key.startswith("StoreUrl")  # made again from the password
    }

    assert len(kept) >= 8
    assert {key for key, each in kept.items() if each.get("DeletionPolicy") != "Retain"} == set()
    assert {key for key, each in kept.items() if each.get("UpdateReplacePolicy") != "Retain"} == set()


def test_the_service_stack_leaves_its_logs_and_nothing_else(variant: Variant) -> None:
    resources = variant.service.template["Resources"].items()
    groups = variant.service.all("Logs::LogGroup")

    assert len(groups) >= 4
    assert {key for key, each in resources if each.get("DeletionPolicy") == "Retain"} == set(groups)


def test_a_retained_log_group_does_not_prevent_the_next_deployment(variant: Variant) -> None:
    groups = variant.service.all("Logs::LogGroup").values()
    (name,) = (each["Properties"]["LogGroupName"] for each in groups if "LogGroupName" in each["Properties"])

    assert "AWS::StackId" in json.dumps(name)


def test_the_store_stack_is_protected_and_knows_nothing_of_the_service(variant: Variant) -> None:
    manifest = json.loads((variant.out / "manifest.json").read_text())["artifacts"]
    (store,) = (each for name, each in manifest.items() if name.endswith("-store"))
    (service,) = (each for name, each in manifest.items() if name.endswith("-service"))

    assert store["properties"]["terminationProtection"]
    assert "Fn::ImportValue" not in json.dumps(variant.store.template)
    assert set(service["dependencies"]) >= {name for name in manifest if name.endswith("-store")}


def test_the_broker_is_disposable_and_one_that_celery_can_use(variant: Variant) -> None:
    broker = variant.service.one("ElastiCache::ReplicationGroup")

    assert broker["ClusterMode"] == "disabled"
    assert broker["CacheNodeType"] == "cache.t4g.micro"
    assert broker["NumCacheClusters"] == 2
    assert "SnapshotRetentionLimit" not in broker


def test_only_tasks_reach_the_stores(variant: Variant) -> None:
    for stack in variant.stacks:
        rules = [
            rule["Properties"]
            for key, rule in stack.all("EC2::SecurityGroupIngress").items()
            if rule["Properties"]["FromPort"] == 6379
        ]

        assert len(rules) == 1
        assert "SourceSecurityGroupId" in rules[0]
        assert "CidrIp" not in rules[0]


def test_the_encryption_key_is_32_random_bytes_in_base64(variant: Variant) -> None:
    generated = variant.store.one("SecretsManager::Secret", "EncryptionKey")["GenerateSecretString"]

    assert generated == {"ExcludePunctuation": True, "PasswordLength": 43}


def test_upstream_is_created_by_cloudformation_itself_or_given() -> None:
    server, app = synthesised("new-server").store, synthesised("new-app").store

    assert server.one("SageMaker::MlflowTrackingServer")["TrackingServerSize"] == "Medium"
    assert app.one("SageMaker::MlflowApp")["Name"] == "mlflow-bridge"
    for name, arn in (("given-server", SERVER_ARN), ("given-app", APP_ARN)):
        given = synthesised(name).store
        assert not given.all("SageMaker::MlflowTrackingServer")
        assert not given.all("SageMaker::MlflowApp")
        assert given.template["Outputs"]["UpstreamArn"]["Value"] == arn


def test_an_operator_can_see_whether_the_store_is_durable(variant: Variant) -> None:
    (attribute,) = variant.store.template["Outputs"]["StoreDurability"]["Value"].values()

    assert attribute[1] == "EffectiveDurability"


def test_everything_stands_in_two_zones(variant: Variant) -> None:
    subnets = variant.store.one("ElastiCache::SubnetGroup")["SubnetIds"]

    assert len(subnets) == 2
    if variant.name == "given-server":
        assert not variant.store.all("EC2::VPC")
    else:
        assert len(variant.store.all("EC2::NatGateway")) == 2
        assert len(variant.store.all("EC2::Subnet")) == 6
