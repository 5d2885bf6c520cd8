# SPDX-License-Identifier: Apache-2.0
"""Settings, headers, preferences and batches at the edge of what is allowed."""

import pytest

from api.http.preferences import MAX_WAIT, read_preferences
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from bridge.delivery.batching import next_call
from bridge.errors import InvalidSettings
from bridge.upstream.headers import to_client, to_upstream
from tests.factories import job, param, tag
from tests.unit.test_batching import MOST_BYTES, batch


def test_a_merged_call_for_the_longest_run_id_is_within_a_million_bytes() -> None:
    run_id = "a" + "日" * 255
    writes = [batch(run_id=run_id, tags=[{"key": "t", "value": "v" * 8000}] * 62)]
    writes += [tag("t", "v" * 7000, run_id=run_id) for _ in range(38)]
    writes += [param(f"p{n}", "v" * 5900, run_id=run_id) for n in range(99)]
    left = MOST_BYTES - 400
    queue = []
    for position, write in enumerate(writes, 1):
        if write.size + 3 <= left:
            queue.append(job(write, position))
            left -= write.size + 3
    queue.append(job(param("last", "v" * (left - 3 - len('{"key":"last","value":""}')), run_id=run_id), 999))
    call, count = next_call(queue)
    assert count < len(queue) or len(call.body) <= MOST_BYTES


REQUIRED = {"BRIDGE_UPSTREAM": "http://h", "BRIDGE_STORE_URL": "redis://h"}


@pytest.mark.parametrize("url", ["redis://:s3/cret@h", "redis://u:x@s3cret@h", "redis://h/0?password=s3cret"])
def test_no_password_is_shown(url: str) -> None:
    try:
        shown = repr(read_settings({**REQUIRED, "BRIDGE_STORE_URL": url}))
    except InvalidSettings as error:
        shown = str(error)
    assert "cret" not in shown.replace("secret", "")


@pytest.mark.parametrize("url", ["http://u:s3cret@h", "redi://:s3cret@h", "redis://:s3cret@[::1"])
def test_an_error_shows_no_password(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings({**REQUIRED, "BRIDGE_STORE_URL": url})
    assert "s3cret" not in str(caught.value)


def test_a_duration_beyond_reason_is_an_invalid_setting() -> None:
    with pytest.raises(InvalidSettings):
        read_settings({**REQUIRED, "BRIDGE_READ_TIMEOUT": "99999999999d"})


@pytest.mark.parametrize("name", ["CONNECT_TIMEOUT", "READ_TIMEOUT", "JOB_RETENTION", "MAX_BODY_SIZE"])
def test_nothing_is_an_invalid_setting_where_nothing_can_not_work(name: str) -> None:
    with pytest.raises(InvalidSettings):
        read_settings({**REQUIRED, f"BRIDGE_{name}": "0" if name == "MAX_BODY_SIZE" else "0s"})


@pytest.mark.parametrize("url", ["http://", "http:h", " http://h", "http://h?x=1", "https:///x"])
def test_a_url_without_a_host_or_with_a_query_is_an_invalid_upstream(url: str) -> None:
    with pytest.raises(InvalidSettings):
        read_settings({**REQUIRED, "BRIDGE_UPSTREAM": url})


def test_a_partition_without_known_hosts_is_an_invalid_setting() -> None:
    arn = "arn:aws-cn:sagemaker:cn-north-1:123456789012:mlflow-app/x"
    with pytest.raises(InvalidSettings):
        build_api(read_settings({**REQUIRED, "BRIDGE_UPSTREAM": arn}))


def test_no_wait_is_an_error() -> None:
    assert read_preferences("wait=" + "9" * 5000).wait == MAX_WAIT


def test_a_comma_in_quotes_separates_nothing() -> None:
    assert read_preferences('foo="a, wait=9"').wait is None


@pytest.mark.parametrize("location", ["https://h.evil/x", "https://h:8443/x", "https://hh/x"])
def test_only_redirects_within_upstream_are_rewritten(location: str) -> None:
    assert list(to_client([("Location", location)], upstream_url="https://h")) == [("Location", location)]


@pytest.mark.parametrize("upstream_url", ["https://u:p@h", "https://H"])
def test_a_redirect_within_upstream_is_rewritten_however_upstream_is_spelled(upstream_url: str) -> None:
    assert list(to_client([("Location", "https://h/x")], upstream_url=upstream_url)) == [("Location", "/x")]


def test_every_proxy_header_stays_here() -> None:
    assert list(to_upstream([("Proxy-Foo", "x")])) == []
