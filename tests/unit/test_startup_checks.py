# SPDX-License-Identifier: Apache-2.0
"""What is looked at before a process starts."""

import socket

import pytest

from bridge.bootstrap.startup_checks import port_in_use


@pytest.mark.parametrize("shared", [0, 1])
def test_a_port_that_somebody_listens_on_is_taken_also_by_one_who_would_share_it(shared: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        assert port_in_use("127.0.0.1", port)

    assert not port_in_use("127.0.0.1", port)


def test_any_free_port_and_an_address_that_is_nowhere_are_not_taken() -> None:
    assert not port_in_use("127.0.0.1", 0)
    assert not port_in_use("nowhere.invalid", 8080)
