# SPDX-License-Identifier: Apache-2.0
"""Where the bridge judges a request otherwise than MLflow, and why.

Whatever is not listed here has to be the same: status, error code and message.
"""

from schemas.write import Op
from tests.acceptance.parity_bodies import Request
from tests.acceptance.parity_difference import (
    METRICS,
    QUOTED,
    TYPE,
    WITHOUT_RUN_UUID,
    Difference,
    body,
    breaks_down,
    has_older_name,
    is_among_spaces,
    is_cut,
    is_of_models,
    lists_no_object,
    mended,
    named,
    passed_over,
    refused,
    refused_for_the_rest,
)
from tests.factories import RUN

_TAG = '{"key":"t","value":"v"}'
_DATASET = '{"dataset":{"name":"d","digest":"x","source_type":"s","source":"s"},"tags":[%s]}'

#: MLflow answers 200 and stores something else, or breaks down; the bridge refuses, or mends it.
_LOSSES = (
    Difference(
        "MLflow's parser gives up, MLflow drops the rest and answers 200",
        body(Op.LOG_BATCH, '"params":[{"key":"a","value":3},{"key":"b"}]'),
        lambda seen: passed_over(seen) and not seen.is_read_whole,
    ),
    Difference(
        "the same for a bare NaN or Infinity, whose meaning is plain: the bridge spells it as MLflow wants it",
        body(Op.LOG_METRIC, '"key":"k","value":NaN,"timestamp":5'),
        lambda seen: (
            mended(seen)
            and seen.request.op in METRICS
            and any(name in seen.request.body for name in (b"NaN", b"Infinity"))
        ),
    ),
    Difference(
        "the same for a whole number that stands among spaces",
        body(Op.LOG_METRIC, '"key":"k","value":1,"timestamp":" 5"'),
        lambda seen: mended(seen) and is_among_spaces(seen),
    ),
    Difference(
        "MLflow cuts a param after 6000 characters, and takes it if there is no other fault",
        body(Op.LOG_PARAMETER, f'"key":"k","value":"{"x" * 6001}"'),
        lambda seen: (
            refused(seen, "'Param value' exceeds the maximum length of 6000 characters")
            and seen.theirs.status in (200, 400)
        ),
    ),
    Difference(
        "MLflow cuts a tag after 8000 characters, and takes it if there is no other fault",
        body(Op.SET_TAG, f'"key":"k","value":"{"x" * 8001}"'),
        lambda seen: (
            refused(seen, "value' exceeds the maximum length of 8000 characters") and seen.theirs.status in (200, 400)
        ),
    ),
    Difference(
        "MLflow reads a text of too large a number as infinite and stores the largest double",
        body(Op.LOG_METRIC, '"key":"k","value":"1e400","timestamp":5'),
        lambda seen: passed_over(seen, "The number is too large for a double"),
    ),
    Difference(
        "MLflow ignores a status that it does not know",
        body(Op.UPDATE_RUN, '"status":"DONE"'),
        lambda seen: passed_over(seen, "MLflow would ignore it"),
    ),
    Difference(
        "MLflow takes true and 1.5 for the status of that number, RUNNING",
        body(Op.UPDATE_RUN, '"status":true'),
        lambda seen: passed_over(seen, f"for parameter 'status' supplied:  {TYPE}"),
    ),
    Difference(
        "MLflow drops the tags of a dataset that comes twice, or that the run has already",
        body(Op.LOG_INPUTS, f'"datasets":[{_DATASET % _TAG},{_DATASET % f"{_TAG},{_TAG}"}]'),
        lambda seen: seen.theirs.status == 200 and "A tag of a dataset is named twice" in seen.ours.message,
    ),
    Difference(
        "MLflow reads a list or a text in the place of an object as one without fields",
        body(Op.LOG_INPUTS, '"datasets":[[]]'),
        lambda seen: refused(seen, "Expected `object`, got `") and seen.is_read_whole,
    ),
    Difference(
        "MLflow breaks down over a log-batch without fields",
        Request(Op.LOG_BATCH, b""),
        lambda seen: seen.request.op is Op.LOG_BATCH and breaks_down(seen, "Missing value for required parameter 'run"),
    ),
    Difference(
        "MLflow breaks down over a text that holds no JSON",
        Request(Op.SET_TAG, b'"{"'),
        lambda seen: b'"' in seen.request.body and breaks_down(seen, "The body is not JSON: "),
    ),
    Difference(
        "MLflow breaks down over a body that is no object",
        Request(Op.SET_TAG, b"[]"),
        lambda seen: breaks_down(seen, "'body' must be a JSON object"),
    ),
    Difference(
        "MLflow breaks down over what is no object in one of a batch's lists",
        body(Op.LOG_BATCH, '"tags":["a"]'),
        lambda seen: breaks_down(seen) and lists_no_object(seen),
    ),
    Difference(
        "MLflow breaks down over a body that is nested too deeply",
        Request(Op.SET_TAG, b"[" * 3000),
        lambda seen: breaks_down(seen, "maximum recursion depth exceeded"),
    ),
    Difference(
        "MLflow breaks down over a list that is null",
        body(Op.LOG_BATCH, '"params":null'),
        lambda seen: seen.request.op is Op.LOG_BATCH and breaks_down(seen, f"{TYPE} 'NoneType'"),
    ),
    Difference(
        "MLflow breaks down over what Python makes no number of, if its parser gives up",
        body(Op.UPDATE_RUN, '"end_time":[1]'),
        lambda seen: seen.request.op in (Op.LOG_METRIC, Op.UPDATE_RUN) and not seen.is_read_whole and breaks_down(seen),
    ),
)

#: Both refuse, in other words or for another fault of the same request; or the bridge takes what it can complete.
_WORDS = (
    Difference(
        "the bridge gives a metric without a timestamp that of its intake",
        body(Op.LOG_METRIC, '"key":"k","value":1'),
        lambda seen: (
            seen.request.op in METRICS
            and seen.theirs.message.startswith("Missing value for required parameter")
            and "timestamp'" in seen.theirs.message
        ),
    ),
    Difference(
        "MLflow says of a body that is not JSON only that it names no run; the bridge says why, too",
        Request(Op.LOG_METRIC, b"{"),
        lambda seen: (
            seen.theirs.message.startswith("Missing value for required parameter 'run_id'. See")
            and seen.ours.message.startswith("Missing value for required parameter 'run_id'. The body is not JSON: ")
        ),
    ),
    Difference(
        f"the bridge quotes the first {QUOTED} characters of a value",
        body(Op.SET_TAG, f'"key":"{"@" * 301}"'),
        is_cut,
    ),
    Difference(
        "MLflow's parser gives up, and MLflow finds fault with a null that it takes otherwise",
        body(Op.LOG_BATCH, '"tags":3', run=""),
        lambda seen: refused_for_the_rest(seen, "Invalid value null for parameter ", f"{TYPE} 'NoneType'"),
    ),
    Difference(
        "MLflow's parser gives up at one fault, and MLflow, looking at what is there and its types, names another",
        body(Op.LOG_BATCH, '"metrics":[{"key":3,"value":1,"timestamp":5}],"params":3'),
        lambda seen: (
            (refused_for_the_rest(seen, words=TYPE) or refused_for_the_rest(seen, "Missing value"))
            and named(seen.theirs) != named(seen.ours)
        ),
    ),
    Difference(
        "MLflow's parser gives up at half a surrogate pair, and MLflow goes on without the text",
        body(Op.DELETE_TAG, run='"run_id":"\\ud800"'),
        lambda seen: refused_for_the_rest(seen) and "surrogate" in seen.ours.message,
    ),
    Difference(
        "MLflow's parser gives up, and MLflow finds fault with what is left",
        body(Op.LOG_BATCH, '"params":[{"key":3}]'),
        lambda seen: (
            refused_for_the_rest(seen)
            and not seen.theirs.message.startswith("Missing value")
            and TYPE not in seen.theirs.message
            and "surrogate" not in seen.ours.message
        ),
    ),
    Difference(
        "the bridge refuses a field that comes by both of its names also where the call has no such field",
        body(Op.DELETE_TAG, '"key":"k","run_uuid":"r","runUuid":"r"'),
        lambda seen: seen.request.op in WITHOUT_RUN_UUID and refused(seen, "both 'run_uuid' and 'runUuid'"),
    ),
    Difference(
        "MLflow takes run_uuid for the run of each call, but these four then look for runId, or a run with an empty id",
        body(Op.DELETE_TAG, run=f'"run_uuid":"{RUN}"'),
        lambda seen: (
            has_older_name(seen)
            and ("runId" in seen.fields or seen.theirs.status in (400, 404))
            and refused(seen, "Missing value for required parameter 'run_id'.")
        ),
    ),
    Difference(
        "MLflow looks whether run_uuid is good and writes to runId; the bridge refuses to have two names for the run",
        body(Op.SET_TAG, run=f'"run_uuid":"r","runId":"{RUN}"'),
        lambda seen: refused(seen, "both 'run_uuid' and 'runId'"),
    ),
    Difference(
        "MLflow looks for the run before it looks at a model's metrics, and before what it would store otherwise",
        body(Op.UPDATE_RUN, '"status":"DONE"', run='"run_id":"r"'),
        lambda seen: (
            (seen.theirs.status, seen.ours.status) == (404, 400)
            and seen.theirs.message.startswith("Run with id=")
            and (
                seen.theirs.is_of_a_run_that_is_not_there
                or is_of_models(seen)
                or any(own in seen.ours.message for own in ("'status'", "value' exceeds"))
            )
        ),
    ),
    Difference(
        "MLflow's refusal of a model, or of a dataset's tag, that is named twice quotes SQL",
        body(Op.LOG_OUTPUTS, '"models":[{"model_id":"m"},{"model_id":"m"}]'),
        lambda seen: (
            seen.theirs.error_code == seen.ours.error_code == "BAD_REQUEST"
            and "UNIQUE constraint failed" in seen.theirs.message
            and "is named twice" in seen.ours.message
        ),
    ),
    Difference(
        "to MLflow the id of a batch's run may end in a line break, but none does",
        body(Op.LOG_BATCH, run='"run_id":"r\\n"'),
        lambda seen: (
            seen.request.op in (Op.LOG_BATCH, Op.LOG_INPUTS)
            and seen.theirs.message.endswith("\n not found")
            and refused(seen, "Invalid value ")
        ),
    ),
)

KNOWN = (*_LOSSES, *_WORDS)
