# SPDX-License-Identifier: Apache-2.0
"""How many jobs a call may carry while one of them is suspected.

It may be the one that upstream refuses among others, that ends its worker, or on which upstream itself fails.
"""

#: A worker may die for reasons that are nobody's fault, a few times in a row.
_TRUSTED_CLAIMS = 5
#: Upstream may answer 500 for reasons that are nobody's fault, a few times in a row.
_TRUSTED_BREAKS = 2
#: How often a write is sent alone before a 500 is taken for its own fault.
_TRIES_ALONE = 5


class Suspects:
    """The jobs at the head of a lane among which upstream refuses at least one; halved until that one is alone."""

    def __init__(self) -> None:
        self._end = 0
        self._last_buried = 0
        self._in_a_row = 0

    def narrow(self, end: int) -> None:
        """Note that a batch which ends at position ``end`` was refused."""
        self._end = end

    def buried(self, position: int) -> None:
        """Note that the job at this position was the guilty one."""
        self._in_a_row = self._in_a_row + 1 if position == self._last_buried + 1 else 1
        self._last_buried = position

    def among(self, settled: int) -> bool:
        """Whether the next job is one of them."""
        return settled < self._end

    def at_most(self, settled: int, jobs: int) -> int:
        """Return how many of ``jobs`` the next call may carry.

        Half of the suspects. Once that half is settled, the guilty write is in what is left, which is halved again: k
        guilty writes among n cost about k * log2(n) calls. Where one guilty write follows the other, the next is tried
        alone: in a run that upstream does not know, all are guilty.
        """
        if self._in_a_row > 1 and settled == self._last_buried:
            return 1
        return min(jobs, max(1, (self._end - settled) // 2)) if self.among(settled) else jobs


def after_crashes(claims: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry when the lane's last claims ended with their workers.

    Half as many after each further one, down to a job alone: if that one ends its worker too, it is poison.
    """
    return jobs if claims <= _TRUSTED_CLAIMS else max(1, jobs >> (claims - _TRUSTED_CLAIMS))


def must_go_alone(claims: int, jobs: int) -> bool:
    """Whether the first job is sent on its own because workers keep dying."""
    return claims > _TRUSTED_CLAIMS and after_crashes(claims, jobs) == 1


def after_breaks(broke: int, jobs: int) -> int:
    """Return how many of ``jobs`` a call may carry when upstream itself failed on calls from the lane's head."""
    return jobs if broke <= _TRUSTED_BREAKS else max(1, jobs >> (broke - _TRUSTED_BREAKS))


def tried_alone_enough(broke_alone: int) -> bool:
    """Whether upstream has failed on the first job alone often enough to blame the job, others being delivered."""
    return broke_alone >= _TRIES_ALONE
