# SPDX-License-Identifier: Apache-2.0
"""What is looked at before a process starts."""

import socket

import pytest

from bridge.bootstrap.startup_checks import is_taken


@pytest.mark.parametrize("shared", [0, 1])
def test_a_port_that_somebody_listens_on_is_taken_also_by_one_who_would_share_it(shared: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        assert is_taken("127.0.0.1", port)

    assert not is_taken("127.0.0.1", port)


def test_any_free_port_and_an_address_that_is_nowhere_are_not_taken() -> None:
    assert not is_taken("127.0.0.1", 0)
    assert not is_taken("nowhere.invalid", 8080)
