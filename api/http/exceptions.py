# SPDX-License-Identifier: Apache-2.0
"""Why a request is turned away at the door."""

from collections.abc import Sequence

from schemas.client import Client, Rule
from schemas.job import AcceptedJob

_MOST_NAMED = 10


class MalformedFraming(Exception):
    """Somebody on the way of a request may take it for another one; the connection ends with the answer."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class LoopDetected(Exception):
    """The bridge has sent the request itself: its upstream leads back to it."""


class Unauthenticated(Exception):
    """Nobody knows who asks; the text, if there is one, says what is wrong with what was sent."""


class RequestInProgress(Exception):
    """The same signed request is being carried out."""


class TooManyFailures(Exception):
    """Too many logins from there have failed lately."""


class Forbidden(Exception):
    """Who asks is known, and may not do this."""

    def __init__(self, client: Client, rule: Rule) -> None:
        super().__init__(f"The client '{client.name}' may not {rule.action}; whoever runs the bridge can allow it.")


class OutsideExperiments(Forbidden):
    """Who asks is limited to experiments, and what he asks for is not about these, or is nowhere: it is the same."""

    def __init__(self, client: Client, action: str | None, *, reason: str = "", number: int = 0) -> None:
        ids = sorted(client.experiments or ())
        named = ", ".join([*ids[:_MOST_NAMED], "..."] if len(ids) > _MOST_NAMED else ids)
        text = f"The client '{client.name}' may not {action} here: it is not within the experiments ({named}) that"
        Exception.__init__(self, f"{text} it may use. {reason}".strip())
        #: Which of several writes it is.
        self.number = number
        #: Where that stands in the request.
        self.pointer: str | None = None


class NotForwarded(Exception):
    """The call is one that MLflow takes from its own host only, or that is not meant for clients."""


class Busy(Exception):
    """So much is under way already that the client should come back soon."""


class PartlyAccepted(Exception):
    """Some writes of a request are ours, and others could not be taken."""

    def __init__(self, jobs: Sequence[AcceptedJob | None], reason: Exception, number: int) -> None:
        super().__init__(f"{sum(job is not None for job in jobs)} of {len(jobs)} writes were accepted")
        self.jobs = tuple(jobs)
        self.reason = reason
        #: Which was the first that could not be taken, and where that stands in the request.
        self.number = number
        self.pointer: str | None = None
