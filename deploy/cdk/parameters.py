# SPDX-License-Identifier: Apache-2.0
"""The parameters of a deployment: read once from CDK's context (`-c name=value`), and checked before synthesis."""

import dataclasses
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]

TRACKING_SERVER = "tracking-server"
APP = "app"
#: Sustained calls a second of a tracking server by its size; the burst is twice that.
#: https://docs.aws.amazon.com/sagemaker/latest/dg/mlflow-create-tracking-server.html
SERVER_CALLS_PER_SECOND = {"Small": 25, "Medium": 50, "Large": 100}

_NAME = re.compile(r"[a-z][a-z0-9-]{0,19}")
_CERTIFICATE = re.compile(r"arn:[a-z-]+:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+")
_UPSTREAM = re.compile(r"arn:[a-z-]+:sagemaker:[a-z0-9-]+:\d{12}:mlflow-(tracking-server|app)/[\w-]+")
_IMAGE = re.compile(r"(?P<repository>[a-z0-9][a-z0-9._/-]+)@(?P<digest>sha256:[0-9a-f]{64})")
_VPC = re.compile(r"vpc-[0-9a-f]+")
_SUBNET = re.compile(r"subnet-[0-9a-f]+")


class ParameterError(ValueError):
    """A parameter is missing, unknown or malformed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the operator chooses. Each field is a context key of the same name; README.md describes them."""

    #: ACM certificate of the load balancer.
    certificate: str
    #: `REPOSITORY@sha256:DIGEST` in this account's ECR, or `build` to build the image from this checkout.
    image: str
    #: `tracking-server` or `app` to create one, or the ARN of one that exists.
    upstream: str
    name: str = "mlflow-bridge"
    internet_facing: bool = False
    #: CIDR blocks that may connect; empty for the VPC's own, or anywhere if `internet_facing`.
    clients: tuple[str, ...] = ()
    cidr: str = "10.20.0.0/16"
    nat_gateways: int = 2
    #: An existing VPC, with its zones and subnets in the same order; empty to create one.
    vpc: str = ""
    zones: tuple[str, ...] = ()
    private_subnets: tuple[str, ...] = ()
    public_subnets: tuple[str, ...] = ()
    store_node: str = "cache.r7g.large"
    store_shards: int = 1
    server_size: str = "Small"
    #: Allows `AccessUI`, which IAM can't limit to one tracking server.
    ui: bool = False
    api_min: int = 2
    api_max: int = 10
    worker_min: int = 2
    worker_max: int = 20
    #: Requests in five minutes of one address.
    waf_rate: int = 300_000
    architecture: str = "X86_64"
    alarm_email: str = ""
    #: Further settings of the bridge, as a JSON object of `BRIDGE_*` names and strings.
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values that AWS or the bridge would refuse later."""
        for name, (valid, expected) in self._rules().items():
            if not valid:
                raise ParameterError(f"parameter {name}: {getattr(self, name)!r} is not {expected}")
        if unknown := set(self.settings) - known_settings():
            raise ParameterError(f"parameter settings: the bridge has no setting {', '.join(sorted(unknown))}")
        for block in (*self.clients, self.cidr):
            _check_cidr(block)

    def _rules(self) -> dict[str, tuple[bool, str]]:
        zones = len(self.zones)
        return {
            "certificate": (bool(_CERTIFICATE.fullmatch(self.certificate)), "the ARN of an ACM certificate"),
            "image": (self.image == "build" or bool(_IMAGE.fullmatch(self.image)), "REPOSITORY@sha256:DIGEST or build"),
            "upstream": (
                self.creates_upstream or bool(_UPSTREAM.fullmatch(self.upstream)),
                "tracking-server, app, or the ARN of a tracking server or MLflow App",
            ),
            "name": (bool(_NAME.fullmatch(self.name)), "1 to 20 lower-case letters, digits and hyphens"),
            "vpc": (not self.vpc or bool(_VPC.fullmatch(self.vpc)), "the id of a VPC"),
            "zones": (zones >= 2 if self.vpc else not zones, "two or more zones of the existing VPC"),
            "private_subnets": (_are_subnets(self.private_subnets, zones), "one subnet for each zone"),
            "public_subnets": (
                _are_subnets(self.public_subnets, zones if self.internet_facing else 0),
                "one subnet for each zone if internet_facing, else none",
            ),
            "clients": (bool(self.clients) or not self.vpc or self.internet_facing, "set; an existing VPC needs it"),
            "nat_gateways": (1 <= self.nat_gateways <= 2, "1 or 2"),
            "store_node": (
                bool(re.fullmatch(r"cache\.[rmc][678]g[a-z]*\.\w+", self.store_node)),
                "of a durable family",
            ),
            "server_size": (self.server_size in SERVER_CALLS_PER_SECOND, "Small, Medium or Large"),
            "api_min": (1 <= self.api_min <= self.api_max, "between 1 and api_max"),
            "worker_min": (1 <= self.worker_min <= self.worker_max, "between 1 and worker_max"),
            "architecture": (self.architecture in ("X86_64", "ARM64"), "X86_64 or ARM64"),
        }

    @property
    def creates_upstream(self) -> bool:
        """Whether the stacks create the tracking server or App."""
        return self.upstream in (TRACKING_SERVER, APP)

    @property
    def upstream_is_app(self) -> bool:
        """Whether upstream is an MLflow App."""
        return self.upstream == APP or ":mlflow-app/" in self.upstream

    @property
    def image_parts(self) -> tuple[str, str] | None:
        """The ECR repository and the digest; None if the image is built."""
        match = _IMAGE.fullmatch(self.image)
        return (match["repository"], match["digest"]) if match else None

    @property
    def client_blocks(self) -> tuple[str, ...]:
        """The CIDR blocks that may connect to the load balancer."""
        return self.clients or (("0.0.0.0/0",) if self.internet_facing else (self.cidr,))


def read_parameters(context: Mapping[str, object]) -> Parameters:
    """Return the parameters in CDK's context, without CDK's own keys. Raises ParameterError.

    The parameter `file` names a JSON object with more of them; the context has precedence.
    """
    given = {key: value for key, value in context.items() if not key.startswith(("@aws-cdk", "aws:", "aws-cdk:"))}
    if path := given.pop("file", None):
        given = {**_file(Path(str(path))), **given}
    fields = {each.name: each for each in dataclasses.fields(Parameters)}
    if unknown := set(given) - set(fields):
        raise ParameterError(f"no such parameter: {', '.join(sorted(unknown))}")
    required = {name for name, each in fields.items() if _is_required(each)}
    if missing := required - set(given):
        raise ParameterError(f"missing parameter: {', '.join(sorted(missing))}")
    return Parameters(**{name: _parsed(fields[name], value) for name, value in given.items()})  # type: ignore[arg-type]


def known_settings() -> frozenset[str]:
    """Return the names of the bridge's settings, as its documentation lists them.

    The root test suite holds that table to the code in both directions.
    """
    tables = [path.read_text(encoding="utf-8") for path in (REPOSITORY_ROOT / "docs").rglob("settings.md")]
    return frozenset(re.findall(r"^\| `(BRIDGE_[A-Z0-9_]+)` \|", "\n".join(tables), re.MULTILINE))


def _file(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError(f"parameter file: {path} can't be read: {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"parameter file: {path} holds no JSON object")
    return values


def _is_required(each: "dataclasses.Field[object]") -> bool:
    return each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING


def _parsed(each: "dataclasses.Field[object]", value: object) -> object:
    """Return a context value as its field's type; `-c` passes text, cdk.json passes JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        if isinstance(each.default, bool):
            return {"true": True, "false": False}[text]
        if isinstance(each.default, int):
            return int(text)
        if isinstance(each.default, tuple):
            return tuple(map(str, value)) if isinstance(value, list) else tuple(filter(None, text.split(",")))
        if each.name == "settings":
            return {str(name): str(setting) for name, setting in json.loads(text).items()}
    except (KeyError, ValueError, AttributeError) as error:
        raise ParameterError(f"parameter {each.name}: {text!r} can't be read") from error
    return text


def _are_subnets(names: tuple[str, ...], count: int) -> bool:
    return len(names) == count and all(_SUBNET.fullmatch(name) for name in names)


def _check_cidr(block: str) -> None:
    try:
        ipaddress.ip_network(block)
    except ValueError as error:
        raise ParameterError(f"not a CIDR block: {block!r}") from error
