# SPDX-License-Identifier: Apache-2.0
"""The key map: every key of the store, its type and its meaning.

====================================  ======  =====================================================================
key                                   type    meaning
====================================  ======  =====================================================================
``bridge:{pNN}:lane:<lane>``          hash    ``accepted``, ``settled``: positions of the last such job; ``lease``:
                                              token of the current claim; ``frozen``: position of the last job that
                                              it read; ``attempts``: failed attempts at the head, ``tried``: position
                                              of the last write that they sent; ``failure``: why the last one failed;
                                              ``claims``: the current claim and those that ended in a crash;
                                              ``alone``: the head was last sent alone; ``broke``: calls on which
                                              upstream failed, ``broke_alone``: those with the head alone,
                                              ``broke_since`` (ms); ``bytes`` that are pending; ``repeated``: ids of
                                              the latest accepts that were repeated; ``client``: its write woke the
                                              lane, which is dispatched on its behalf; ``writers``: the clients that
                                              have written since; ``denied_since`` (ms): since when upstream denies
                                              its head; ``declined``: the latest request of which a write found no
                                              room, and which cap it exceeded
``bridge:{pNN}:writes:<lane>``        list    the pending writes; the first has position ``settled`` + 1
``bridge:{pNN}:attempts:<lane>``      list    a note per failed attempt at the head: position of the last write sent,
                                              time, outcome
``bridge:{pNN}:settled:<lane>``       list    a record per settled call: position of its last job, time, outcome
``bridge:{pNN}:ready``                zset    lane -> when it is due (ms); each lane that has pending writes is in it
``bridge:{pNN}:oldest``               zset    lane -> when its first pending write was accepted (ms)
``bridge:{pNN}:writers``              zset    ``<client>`` newline ``<lane>``: writes of the client are, or recently
                                              were, pending in the lane; in order of this text
``bridge:{pNN}:deliveries``           zset    the latest clients of which writes were settled -> a number that
                                              grows with each settlement: an earlier answer of upstream may lack them
``bridge:{pNN}:dead``                 hash    ``<lane>/<position>`` -> time (ms, 13 digits), dead letter
``bridge:{pNN}:letters``              zset    the index of ``dead``, in order of time: ``<time>/<lane>/<position>/
                                              <reason>/<client>``
``bridge:{pNN}:fate:<lane>/<pos.>``   string  the fate of a dead letter: ``as:<position>`` of its replay, or
                                              ``discarded:<time>``
``bridge:{pNN}:held``                 hash    ``bytes`` of all pending writes and dead letters of the partition;
                                              ``of:<client>``: bytes of a client's pending writes; ``writes``: how
                                              many writes are pending, if ``counted`` equals ``bytes``
``bridge:{pNN}:idempotency:<hash>``   string  the job that was accepted under an idempotency key, beside its lane
``bridge:idempotency:<hash>``         string  the fingerprint of the request that an idempotency key is bound to
``bridge:{pNN}:run:<lane>``           string  the id of the run that the lane of a named run stands for
``bridge:{pNN}:alias:<run id>``       string  the lane of the name that the run has, beside its own
``bridge:{pNN}:experiment:<lane>``    string  the id of the experiment of a run or of ``model:<id>``; kept for clients
                                              that are limited to experiments
``bridge:{pNN}:sweep``                string  exists for a guard period after the partition was swept
``bridge:changes``                    string  the number of proxied calls that may have changed what reads show
``bridge:quota:<client>``             hash    the levels of a client's buckets: ``requests``, ``writes``, ``bytes``,
                                              and their times (s): ``requests_at``, ...
``bridge:flow_control:<hash>``        hash    the rate limiter and the circuit breaker of an upstream: ``next``: when
                                              the bucket is full again (us), ``denied_next``: the same for lanes that
                                              were denied; ``rate``: lowered by throttling, ``slowed``: when (ms);
                                              ``failures`` in a row; ``delivered``: when a call last succeeded (ms);
                                              ``until``: when the open breaker lets a probe through (ms),
                                              ``opened``: when it opened (ms), ``reason``, ``trips``;
                                              ``probe``: when the probe times out (ms);
                                              ``paused_until``: when the pause of deliveries ends (ms),
                                              ``paused_since`` (ms), ``paused_why``, ``paused_by``
``bridge:upstream:<hash>:failures``   list    the latest failed calls to an upstream, the newest first, as JSON
``bridge:upstream:<hash>:calls:<n>``  hash    outcome -> number of calls in the n-th five minutes since 1970
``bridge:{drains}:active``            zset    running drain -> when it began (s)
``bridge:{drains}:active-by-cause``   zset    the same, for drains of one operation or error code
``bridge:{drains}:all``               zset    drain, running or ended -> when it began (s); some may be forgotten
``bridge:{drains}:<id>``              hash    a drain: ``order``, ``cursor``, ``done``, ``skipped``, ``state``,
                                              ``advanced`` (s), ``ended`` (s), ``rate`` if it was changed, or none
``bridge:{drains}:<id>:guard``        string  exists for a guard period after a worker took the drain
``bridge:{doctor}:<type>``            any     exists while the doctor tests what the store's account may do
``bridge:workers``                    zset    worker process -> when it last reported (s)
``bridge:workers:reports``            hash    worker process -> what it reported, as JSON
``bridge:totals``                     hash    the counters of all processes: metric, labels -> number
``bridge:series:<minute>``            hash    what happened in a minute: name of a series, for a histogram newline and
                                              bucket -> number; kept for three hours
``bridge:series``                     string  exists for a guard period after a process has measured the gauges
``bridge:threads``                    zset    a process and its background threads -> when it last reported (ms)
``bridge:session:<sha256>``           string  a browser session: its client, how and when it began
``bridge:sessions``                   zset    the ids of browser sessions, in order of this text; some may have ended
``bridge:sign-in:<sha256>``           string  a sign-in at the provider that is under way, under its ``state``
``bridge:usage:hour:<at>:<client>``   hash    the usage of a client in the hour that begins then (s): ``requests``,
                                              ``writes``, ``bytes``, ``prompt_tokens``, ...; of an endpoint of MLflow's
                                              AI Gateway: ``requests/<endpoint>``, ...; kept for 8 days
``bridge:usage:day:<at>:<client>``    hash    the same for a day in UTC; kept for 13 months
``bridge:usage:clients``              zset    client -> the begin of the hour of its latest request (s)
``bridge:emf:<minute>``               string  exists for an hour once a process writes the metrics of the minute
``bridge:emf:totals``                 string  the counters at the last time that metrics were written, as JSON
``bridge:format``                     zset    ``written_by``: the newest format that a process has written;
                                              ``reads_from``: the format that a process must read
``bridge:seal``                       string  the key that signs job ids
``bridge:clients``                    hash    client -> its permissions and limits
``bridge:keys``                       hash    key id -> its client, hash or encrypted secret, and times
``bridge:keys:used``                  hash    key id -> when it was last used (s)
``bridge:administrators:removed``     zset    an administrator's way to authenticate (key id, or name of a client of
                                              tokens) that is about to end -> since when (s); kept for a day
``bridge:audit:changes``              stream  audit records of changes and sign-ins
``bridge:audit:denials``              stream  audit records of denied requests; apart, so that they push out no change
``bridge:signed:<signature>``         string  replay protection: the outcome of a signed request
====================================  ======  =====================================================================

The hash tag ``{pNN}`` is the lane's partition: all keys that one script touches lie in one slot of a cluster.
"""

import datetime as dt
import hashlib
import zlib

from schemas.usage import UsagePeriod

#: Never to be changed: it decides in which slot a lane's keys lie.
PARTITIONS = 16

ACTIVE_DRAINS = "bridge:{drains}:active"
ACTIVE_DRAINS_BY_CAUSE = "bridge:{drains}:active-by-cause"
DRAINS = "bridge:{drains}:all"
SESSIONS = "bridge:sessions"
WORKERS = "bridge:workers"
WORKER_REPORTS = "bridge:workers:reports"
SERIES_GUARD = "bridge:series"
CHANGES = "bridge:changes"
COUNTERS = "bridge:totals"
THREADS = "bridge:threads"
FORMAT = "bridge:format"
METRICS_TOTALS = "bridge:emf:totals"
USAGE_CLIENTS = "bridge:usage:clients"
JOB_ID_KEY = "bridge:seal"
CLIENTS = "bridge:clients"
API_KEYS = "bridge:keys"
API_KEYS_USED = "bridge:keys:used"
REMOVED_ADMINISTRATORS = "bridge:administrators:removed"
AUDITED_CHANGES = "bridge:audit:changes"
AUDITED_DENIALS = "bridge:audit:denials"
SELF_TEST = tuple(f"bridge:{{doctor}}:{kind}" for kind in ("hash", "list", "zset", "string"))


def partition(lane: str) -> int:
    """Return the number of the partition of a lane."""
    return zlib.crc32(lane.encode()) % PARTITIONS


def lane_state(lane: str) -> str:
    """The lane's counters and lease."""
    return f"{_hash_tag(partition(lane))}:lane:{lane}"


def writes(lane: str) -> str:
    """The lane's pending writes."""
    return f"{_hash_tag(partition(lane))}:writes:{lane}"


def settled(lane: str) -> str:
    """The lane's log of settled calls."""
    return f"{_hash_tag(partition(lane))}:settled:{lane}"


def ready(partition_number: int) -> str:
    """The due times of a partition's lanes."""
    return f"{_hash_tag(partition_number)}:ready"


def oldest(partition_number: int) -> str:
    """The times at which the oldest pending write of each of a partition's lanes was accepted."""
    return f"{_hash_tag(partition_number)}:oldest"


def writers(partition_number: int) -> str:
    """The pairs of client and lane with pending writes in a partition."""
    return f"{_hash_tag(partition_number)}:writers"


def deliveries(partition_number: int) -> str:
    """The latest clients of which writes were settled in a partition."""
    return f"{_hash_tag(partition_number)}:deliveries"


def dead(partition_number: int) -> str:
    """The dead letters of a partition."""
    return f"{_hash_tag(partition_number)}:dead"


def letters(partition_number: int) -> str:
    """The index of a partition's dead letters."""
    return f"{_hash_tag(partition_number)}:letters"


def attempts(lane: str) -> str:
    """The failed attempts at the head of the lane."""
    return f"{_hash_tag(partition(lane))}:attempts:{lane}"


def fate(lane: str, position: int) -> str:
    """The fate of a dead letter."""
    return f"{_hash_tag(partition(lane))}:fate:{dead_field(lane, position)}"


def append_keys(lane: str, partition_number: int) -> list[str]:
    """The first keys of accept.lua and replay.lua, in their order. One step, because accepting is the hot path."""
    tag = _HASH_TAGS[partition_number]
    of_lane = [f"{tag}:lane:{lane}", f"{tag}:writes:{lane}"]
    return [*of_lane, f"{tag}:ready", f"{tag}:oldest", f"{tag}:settled:{lane}", f"{tag}:held", f"{tag}:writers"]


def run_name(lane: str) -> str:
    """The run that the lane of a named run stands for."""
    return f"{_hash_tag(partition(lane))}:run:{lane}"


def run_alias(run_id: str) -> str:
    """The lane of a run's name."""
    return f"{_hash_tag(partition(run_id))}:alias:{run_id}"


def experiment(lane: str) -> str:
    """The experiment of the run or model of a lane."""
    return f"{_hash_tag(partition(lane))}:experiment:{lane}"


def held(partition_number: int) -> str:
    """The bytes that the partition holds, in total and by client."""
    return f"{_hash_tag(partition_number)}:held"


def idempotency(partition_number: int, client: str, key: str) -> str:
    """The job that was accepted under a client's idempotency key."""
    return f"{_hash_tag(partition_number)}:idempotency:{_digest(client, key)}"


def idempotency_guard(client: str, key: str) -> str:
    """The request that a client's idempotency key is bound to."""
    return f"bridge:idempotency:{_digest(client, key)}"


def rate_limits(client: str) -> str:
    """The levels of a client's buckets."""
    return f"bridge:quota:{client}"


def flow_control(upstream: str) -> str:
    """The rate limiter and the circuit breaker of an upstream."""
    return f"bridge:flow_control:{hashlib.blake2b(upstream.encode(), digest_size=8).hexdigest()}"


def upstream_failures(upstream_id: str) -> str:
    """The latest failed calls to an upstream."""
    return f"bridge:upstream:{upstream_id}:failures"


def upstream_calls(upstream_id: str, period: int) -> str:
    """The calls to an upstream in a period of five minutes, by their outcome."""
    return f"bridge:upstream:{upstream_id}:calls:{period}"


def browser_session(session_id: str) -> str:
    """A browser session."""
    return f"bridge:session:{session_id}"


def pending_login(state: str) -> str:
    """A sign-in at the provider that is under way."""
    return f"bridge:sign-in:{hashlib.sha256(state.encode()).hexdigest()}"


def metrics_minute(minute: int) -> str:
    """Exists once a process writes the metrics of the minute."""
    return f"bridge:emf:{minute}"


def series_minute(minute: int) -> str:
    """What happened in a minute."""
    return f"bridge:series:{minute}"


def usage(period: UsagePeriod, begin: dt.datetime, client: str) -> str:
    """The usage of a client in one hour or day."""
    return f"bridge:usage:{period.name.lower()}:{begin.timestamp():.0f}:{client}"


def sweep(partition_number: int) -> str:
    """Exists for a guard period after the partition was swept."""
    return f"{_hash_tag(partition_number)}:sweep"


def dead_field(lane: str, position: int) -> str:
    """The field of a dead letter in its partition's hash."""
    return f"{lane}/{position}"


def drain(drain_id: str) -> str:
    """A drain: its order and its progress."""
    return f"bridge:{{drains}}:{drain_id}"


def drain_guard(drain_id: str) -> str:
    """Exists for a guard period after a worker took the drain."""
    return f"bridge:{{drains}}:{drain_id}:guard"


def index_line(lane: str, position: int, reason: str, client: str) -> str:
    """A letter's line in the index, after its time. A lane and a reason hold no slash."""
    return f"/{dead_field(lane, position)}/{reason}/{client}"


def _digest(client: str, key: str) -> str:
    return hashlib.blake2b(f"{client}\n{key}".encode(), digest_size=16).hexdigest()


def _hash_tag(partition_number: int) -> str:
    return _HASH_TAGS[partition_number]


_HASH_TAGS = [f"bridge:{{p{number:02}}}" for number in range(PARTITIONS)]
