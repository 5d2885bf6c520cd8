# SPDX-License-Identifier: Apache-2.0
"""Errors that end a request before or while it is handled; `api.http.error_responses` maps each to a response."""

from collections.abc import Sequence

from schemas.client import Client, Rule
from schemas.job import AcceptedJob

#: An error message lists no more experiments than these.
_MAX_LISTED_EXPERIMENTS = 10


class MalformedFraming(Exception):
    """A proxy in front may read another length or host than the api (request smuggling). The connection is closed."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class LoopDetected(Exception):
    """The bridge has sent the request itself: its upstream leads back to it."""


class Unauthenticated(Exception):
    """The credentials are missing or invalid. The message, if there is one, names the defect."""


class SignInAgain(Exception):
    """The browser's sign-in is too long ago for a call that creates or revokes keys."""


class RequestInProgress(Exception):
    """The same signed request is being handled."""


class TooManyFailures(Exception):
    """Too many authentication attempts from this address have failed within a minute."""


class Forbidden(Exception):
    """The client is authenticated and lacks the permission for an action."""

    def __init__(self, client: Client, rule: Rule) -> None:
        super().__init__(f"The client '{client.name}' may not {rule.action}; the bridge's operator can allow it.")
        self.action: str | None = rule.action


class OutsideExperiments(Forbidden):
    """The client is limited to experiments, and the request refers to other ones or to none that exist.

    Both cases are one error: otherwise a client could find out which ids exist.
    """

    def __init__(self, client: Client, action: str | None, *, reason: str = "", index: int = 0) -> None:
        ids = sorted(client.experiments or ())
        listed = ", ".join([*ids[:_MAX_LISTED_EXPERIMENTS], "..."] if len(ids) > _MAX_LISTED_EXPERIMENTS else ids)
        text = f"The client '{client.name}' may not {action} here: it is not within the experiments ({listed}) that"
        Exception.__init__(self, f"{text} it may use. {reason}".strip())
        self.action = action
        #: The index of the write in a request with several.
        self.index = index
        #: The JSON pointer to that write.
        self.pointer: str | None = None


class NotForwarded(Exception):
    """MLflow accepts the call from its own host only, or it is no call for clients."""


class ActionRefused(Exception):
    """The installation refuses an action for now (``BRIDGE_ACTION_MODES``)."""

    def __init__(self, action: str) -> None:
        super().__init__(f"The bridge does not accept {action} here for now; its operator can switch it on.")


class EarlierWritesPending(Exception):
    """Writes that were accepted before a proxied one, for the same lane, are not delivered yet."""


class Busy(Exception):
    """As many requests to upstream are in progress as the api allows."""


class PartlyAccepted(Exception):
    """Some writes of a request were stored, and others could not be."""

    def __init__(self, jobs: Sequence[AcceptedJob | None], reason: Exception, index: int) -> None:
        super().__init__(f"{sum(job is not None for job in jobs)} of {len(jobs)} writes were accepted")
        self.jobs = tuple(jobs)
        self.reason = reason
        #: The index of the first write that could not be stored, and the JSON pointer to it.
        self.index = index
        self.pointer: str | None = None


class NotOnConsoleHost(Exception):
    """The request is for MLflow, under the host name that only operators use (BRIDGE_CONSOLE_HOST)."""


class CountChanged(Exception):
    """A request to replay or discard many dead letters names another number than there are now."""

    def __init__(self, verb: str, count: int) -> None:
        super().__init__(f'This would {verb} {count} dead letters. To do so, send the same with "count": {count}.')
        self.count = count


class CrossSiteRequest(Exception):
    """Another site's page has made the request with a person's cookie, or may have."""
