# SPDX-License-Identifier: Apache-2.0
"""Garbage collection of a process that must answer within milliseconds."""

import gc


def exempt_existing_objects() -> None:
    """Exempt all objects that exist now from later collections. To be called once, at the end of the start.

    A process has some 120,000 objects then, of modules and settings. A full collection would look at each of them
    again, and the event loop would stand still meanwhile: the more often, the more requests wait.
    """
    gc.collect()
    gc.freeze()
