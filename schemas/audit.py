# SPDX-License-Identifier: Apache-2.0
"""The documents of ``/v1/audit``: what was changed through the api, who signed in, and what was denied."""

import datetime as dt
from typing import Annotated, Literal

import msgspec

Decision = Literal["allowed", "denied", "unauthenticated", "rate_limited"]

#: With a time zone: the meaning must not depend on the zone of the server.
_Timestamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What one request did, or was not allowed to do."""

    at: dt.datetime
    client: str
    address: str
    #: The permission that the request needed, ``SignIn`` or ``SignOut``; null for an open path.
    action: str | None
    method: str
    #: Without its query.
    path: str
    #: What it was about: ids and names of the path; null where the path has none.
    on: str | None
    decision: Decision
    status: int
    #: Null for an entry that stands for several requests.
    request_id: str | None
    #: How many requests it stands for: repeated denials of one client are counted, not listed.
    count: int = 1


class AuditEntry(AuditRecord, frozen=True, kw_only=True):
    """A stored record."""

    id: str


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, the newest first. ``next`` is the cursor of the following page, null at the end."""

    entries: list[AuditEntry]
    next: str | None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects entries by their fields; without any field, all."""

    client: str | None = None
    action: str | None = None
    decision: Decision | None = None
    #: At this time or later.
    since: _Timestamp | None = None
    #: Before this time.
    until: _Timestamp | None = None
    request_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None

    def matches(self, record: AuditRecord) -> bool:
        """Return whether a record has all the fields of the filter."""
        wanted = (self.client, self.action, self.decision, self.request_id)
        found = (record.client, record.action, record.decision, record.request_id)
        if any(value not in (None, each) for value, each in zip(wanted, found, strict=True)):
            return False
        return (self.since is None or self.since <= record.at) and (self.until is None or record.at < self.until)
