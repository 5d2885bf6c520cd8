# SPDX-License-Identifier: Apache-2.0
"""When there is too much to do at once."""


class Busy(Exception):
    """So much is under way already that the client should come back soon."""
