# SPDX-License-Identifier: Apache-2.0
"""Tokens of MLflow's AI Gateway: a real gateway before a provider of the test, and what the bridge has counted."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import forked
from tests.model_provider import COMPLETION, PROMPT, ModelProvider
from tests.servers import api_with, clean_environ, mlflow_at, redis_at, running, wait_until

#: Another MLflow, or the whole of one.
pytestmark = pytest.mark.full


TIMEOUT_S = 30
#: A provider on loopback without TLS.
PRIVATE_PROVIDER = {
    "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http",
}
CHAT = {"messages": [{"role": "user", "content": "a question"}]}
OF_OPENAI, OF_ANTHROPIC = "of-openai", "of-anthropic"
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "a question"}]}]}
OPENAI_CHAT = "openai/v1/chat/completions"

#: Path below ``/gateway``, body, endpoint.
CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "invocations": (f"{OF_OPENAI}/mlflow/invocations", CHAT, OF_OPENAI),
    "embeddings of invocations": (f"{OF_OPENAI}/mlflow/invocations", {"input": "x"}, OF_OPENAI),
    "mlflow's chat": ("mlflow/v1/chat/completions", {**CHAT, "model": OF_OPENAI}, OF_OPENAI),
    "mlflow's chat with anthropic": ("mlflow/v1/chat/completions", {**CHAT, "model": OF_ANTHROPIC}, OF_ANTHROPIC),
    "openai's chat": (OPENAI_CHAT, {**CHAT, "model": OF_OPENAI}, OF_OPENAI),
    "openai's embeddings": ("openai/v1/embeddings", {"model": OF_OPENAI, "input": "x"}, OF_OPENAI),
    "openai's responses": ("openai/v1/responses", {"model": OF_OPENAI, "input": "x"}, OF_OPENAI),
    "anthropic's messages": (
        "anthropic/v1/messages",
        {**CHAT, "model": OF_ANTHROPIC, "max_tokens": 9},
        OF_ANTHROPIC,
    ),
    "openai, as it is": (f"proxy/{OF_OPENAI}/v1/chat/completions", {**CHAT, "model": "other"}, OF_OPENAI),
    # MLflow's own routes for Gemini call Google's address only.
    "gemini, as it is": (f"proxy/{OF_OPENAI}/v1beta/models/m:generateContent", GEMINI, OF_OPENAI),
}
STREAMED = [name for name in CALLS if "embeddings" not in name and "gemini" not in name]


@dataclass
class Gateway:
    """A bridge with keys, before a real MLflow with endpoints, before a provider."""

    url: str
    mlflow_url: str
    store_url: str
    provider: ModelProvider
    http: requests.Session = field(default_factory=requests.Session)

    def keys(self, *arguments: str) -> str:
        environ = clean_environ() | {"BRIDGE_STORE_URL": self.store_url, "BRIDGE_AUTH": "keys"}
        done = forked.run("mlflow-bridge", "keys", *arguments, environ=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def call(self, key: str, path: str, body: dict[str, Any], **options: Any) -> requests.Response:
        return self.http.post(
            f"{self.url}/gateway/{path}",
            json=body,
            headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip"},
            timeout=TIMEOUT_S,
            **options,
        )

    def used(self, key: str) -> dict[str, Any]:
        """What the client of a key has used, once anything is counted."""

        def total() -> Any:
            headers = {"Authorization": f"Bearer {key}"}
            page = self.http.get(f"{self.url}/v1/usage/mine", headers=headers, timeout=TIMEOUT_S).json()
            return page["clients"][0]["total"]["models"] and page["clients"][0]["total"]

        found: dict[str, Any] = wait_until(total)
        return found


@pytest.fixture(scope="module")
def gateway(short_dir: Path) -> Iterator[Gateway]:
    directory = short_dir / "gateway"
    with ExitStack() as stack:
        provider = stack.enter_context(ModelProvider())
        mlflow, mlflow_url = mlflow_at(directory / "mlflow", further=PRIVATE_PROVIDER)
        store, store_url = redis_at(directory / "store")
        environ = {"BRIDGE_STORE_URL": store_url, "BRIDGE_UPSTREAM": mlflow_url, "BRIDGE_AUTH": "keys"}
        api, url = api_with(environ, directory / "api")
        stack.enter_context(running(mlflow))
        for name in ("openai", "anthropic"):
            create_endpoint(mlflow_url, name, provider.url)
        stack.enter_context(running(store, api))
        yield Gateway(url, mlflow_url, store_url, provider)


def create_endpoint(mlflow_url: str, provider: str, provider_url: str) -> None:
    def create(what: str, body: dict[str, Any]) -> Any:
        answer = requests.post(f"{mlflow_url}/api/3.0/mlflow/gateway/{what}/create", json=body, timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        return answer.json()

    secret = {"secret_name": provider, "secret_value": {"api_key": "k"}, "auth_config": {"api_base": provider_url}}
    secret_id = create("secrets", {**secret, "provider": provider})["secret"]["secret_id"]
    model = {"name": provider, "secret_id": secret_id, "provider": provider, "model_name": "stub"}
    model_id = create("model-definitions", model)["model_definition"]["model_definition_id"]
    linked = {"model_definition_id": model_id, "linkage_type": "PRIMARY", "weight": 1.0}
    create("endpoints", {"name": f"of-{provider}", "model_configs": [linked]})


def new_key(gateway: Gateway, name: str, *options: str) -> str:
    return gateway.keys("create", name, "--allow", "InvokeGateway", *options)


def expected(endpoint: str, completion: int) -> dict[str, Any]:
    tokens = {"prompt_tokens": PROMPT, "completion_tokens": completion}
    return {**tokens, "models": {endpoint: {"requests": 1, **tokens}}}


def tokens_of(used: dict[str, Any]) -> dict[str, Any]:
    return {name: used[name] for name in ("prompt_tokens", "completion_tokens", "models")}


@pytest.mark.parametrize("name", CALLS)
def test_a_plain_answer_counts_what_the_provider_has_stated(gateway: Gateway, name: str) -> None:
    path, body, endpoint = CALLS[name]
    key = new_key(gateway, f"plain-{list(CALLS).index(name)}")

    answer = gateway.call(key, path, body)

    assert answer.status_code == 200, answer.text
    used = gateway.used(key)
    assert tokens_of(used) == expected(endpoint, 0 if "embeddings" in name else COMPLETION)
    assert used["bytes"] == int(answer.request.headers["Content-Length"])


@pytest.mark.parametrize("name", STREAMED)
def test_a_streamed_answer_counts_the_same_and_is_not_held_back(gateway: Gateway, name: str) -> None:
    path, body, endpoint = CALLS[name]
    key = new_key(gateway, f"streamed-{list(CALLS).index(name)}")
    gateway.provider.may_go_on.clear()

    with gateway.call(key, path, {**body, "stream": True}, stream=True) as answer:
        pieces = answer.iter_content(chunk_size=None)
        received = next(pieces)
        while b"\n\n" not in received:
            received += next(pieces)
        # The provider sends nothing more until now.
        gateway.provider.may_go_on.set()
        received += b"".join(pieces)

    assert received.startswith(b"data: {"), received
    assert not gateway.provider.has_given_up
    assert tokens_of(gateway.used(key)) == expected(endpoint, COMPLETION)


def test_a_stream_is_passed_on_byte_for_byte(gateway: Gateway) -> None:
    gateway.provider.may_go_on.set()
    path, body, _ = CALLS["openai's chat"]
    key = new_key(gateway, "bytes")

    through = gateway.call(key, path, {**body, "stream": True})
    direct = requests.post(f"{gateway.mlflow_url}/gateway/{path}", json={**body, "stream": True}, timeout=TIMEOUT_S)

    assert through.content == direct.content
    assert through.content.endswith(b"data: [DONE]\n\n")


def test_beyond_its_tokens_of_the_day_a_client_gets_429_and_the_model_is_not_called(gateway: Gateway) -> None:
    key = new_key(gateway, "thrifty", "--tokens-per-day", str(PROMPT + COMPLETION))
    other = new_key(gateway, "other")
    path, body, _ = CALLS["openai's chat"]
    assert gateway.call(key, path, body).status_code == 200
    assert gateway.used(key)["prompt_tokens"] == PROMPT

    # An error is false in itself.
    [refused] = wait_until(lambda: [answer for answer in [gateway.call(key, path, body)] if answer.status_code == 429])

    calls = len(gateway.provider.calls)
    assert gateway.call(key, CALLS["invocations"][0], CHAT).status_code == 429
    assert len(gateway.provider.calls) == calls
    assert refused.json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
    assert "has used" in refused.json()["message"]
    assert f"of its {PROMPT + COMPLETION} tokens of this day (UTC)" in refused.json()["message"]
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert gateway.call(other, path, body).status_code == 200
    # All else that it may do goes on.
    headers = {"Authorization": f"Bearer {key}"}
    found = gateway.http.get(f"{gateway.url}/gateway/mlflow/v1/models", headers=headers, timeout=TIMEOUT_S)
    assert found.status_code == 200
    gateway.keys("update", "thrifty", "--tokens-per-day", "0")
    wait_until(lambda: gateway.call(key, path, body).status_code == 200)


def test_operators_see_all_clients_in_the_terminal_and_as_csv(gateway: Gateway) -> None:
    key = new_key(gateway, "reported")
    path, body, _ = CALLS["anthropic's messages"]
    assert gateway.call(key, path, body).status_code == 200
    gateway.used(key)
    operator = gateway.keys("create", "operator", "--admin")
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": gateway.url, "MLFLOW_TRACKING_TOKEN": operator}

    shown = forked.run("mlflow-bridge", "usage", "--days", "2", environ=environ)
    document = json.loads(forked.run("mlflow-bridge", "usage", "reported", "--json", environ=environ).stdout)
    headers = {"Authorization": f"Bearer {operator}", "Accept": "text/csv"}
    table = gateway.http.get(f"{gateway.url}/v1/usage?client=reported", headers=headers, timeout=TIMEOUT_S).text

    lines = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line}
    assert lines["reported"][-2:] == [str(PROMPT), str(COMPLETION)]
    assert lines[OF_ANTHROPIC][-2:] == [str(PROMPT), str(COMPLETION)]
    assert [client["client"] for client in document["clients"]] == ["reported"]
    assert table.splitlines()[0].startswith("client,at,requests,")
    assert table.splitlines()[1].startswith("reported,")
