# SPDX-License-Identifier: Apache-2.0
"""Compares clocks. Signatures, leases of keys and the delivery horizon all believe ours."""

import datetime as dt

from bridge.doctor.checks import Opinion, fail, ok, warn

#: AWS takes no signature that is older, or younger, than this.
_AWS_REFUSES = dt.timedelta(minutes=5)
_WARN = dt.timedelta(seconds=30)
_FIX = "have both machines keep time by NTP (chronyd, systemd-timesyncd; on AWS: 169.254.169.123)"


def compared(ours: dt.datetime, theirs: dt.datetime, whose: str) -> Opinion:
    """Return what the difference between our clock and another comes to."""
    skew = ours - theirs
    seconds = abs(skew.total_seconds())
    if abs(skew) < _WARN:
        return ok(f"within {max(1, round(seconds))} s of {whose}'s")
    found = f"our clock is {seconds:.0f} s {'ahead of' if skew > dt.timedelta() else 'behind'} {whose}'s"
    if abs(skew) >= _AWS_REFUSES:
        return fail(f"{found}; AWS refuses signatures beyond 300 s", _FIX)
    return warn(f"{found}; beyond 300 s AWS refuses signatures", _FIX)
