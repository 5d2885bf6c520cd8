# SPDX-License-Identifier: Apache-2.0
"""A log that is not read holds up nothing, and says later what it has lost."""

import os
from collections.abc import Iterator

import pytest

from bridge.telemetry import standard_error
from bridge.telemetry.standard_error import Writer
from tests.servers import wait_until


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def lost(lines: int) -> str:
    return f"lost {lines}\n"


def read(reader: int, *, until: bytes) -> list[str]:
    """All lines up to this one."""
    received = b""
    while not received.endswith(until):
        received += os.read(reader, 1 << 16)
    return received.decode().splitlines()


def test_lines_come_in_their_order(pipe: tuple[int, int]) -> None:
    writer = Writer(pipe[1], lost)

    for number in range(1000):
        writer.write(f"line {number}\n")

    assert read(pipe[0], until=b"line 999\n") == [f"line {number}" for number in range(1000)]


@pytest.mark.parametrize("blocks", [True, False], ids=["blocks", "does not block"])
def test_what_is_not_read_holds_up_nothing_and_is_counted(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, *, blocks: bool
) -> None:
    monkeypatch.setattr(standard_error, "_MAX_BUFFERED_BYTES", 200_000)
    os.set_blocking(pipe[1], blocks)
    writer = Writer(pipe[1], lost)

    # More than the pipe and the writer hold together, in one go that would never end.
    for number in range(10_000):
        writer.write(f"line {number:05} {'x' * 40}\n")
    writer.flush(0)

    kept: list[int] = []
    dropped = 0
    while len(kept) + dropped < 10_000:
        for line in read(pipe[0], until=b"\n"):
            number = int(line.split()[1])
            if line.startswith("line"):
                kept.append(number)
            else:
                dropped += number
    assert kept == sorted(set(kept))
    # Each has 52 bytes.
    assert (len(kept) + 1) * 52 > 200_000
    assert dropped


def test_a_reader_that_has_gone_stops_nothing() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    try:
        writer = Writer(descriptor, lost)
        for number in range(100):
            writer.write(f"line {number}\n")

        wait_until(lambda: writer._waiting_bytes == 0)  # noqa: SLF001 - nothing else shows that it has given up on these
    finally:
        os.close(descriptor)


def test_a_fork_writes_nothing_of_what_its_parent_has_to_write(pipe: tuple[int, int]) -> None:
    writer = Writer(pipe[1], lost)
    text = "parent\n" * 100
    written = 0
    while writer._waiting_bytes < 100_000:  # noqa: SLF001
        writer.write(text)
        written += len(text)

    child = os.fork()
    if child == 0:
        writer.flush(5)
        os._exit(int(writer._waiting_bytes))  # noqa: SLF001

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    while written > 0:
        written -= len(os.read(pipe[0], 1 << 16))
    assert written == 0
    wait_until(lambda: writer._waiting_bytes == 0)  # noqa: SLF001
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
