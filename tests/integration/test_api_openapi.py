# SPDX-License-Identifier: Apache-2.0
"""What the bridge says of its own paths is true and whole, and needs no other host."""

import re

from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import Client

from api.openapi.constraints import QUERY_OF, REQUIRED_QUERY
from api.routes.table import ROUTES
from schemas.endpoints import QUEUED


def test_the_description_is_valid(http: Client) -> None:
    document = http.get("/openapi.json").get_json()

    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_path_is_described_with_each_of_its_methods(http: Client) -> None:
    described = {
        (method.upper(), path)
        for path, methods in http.get("/openapi.json").get_json()["paths"].items()
        for method in methods
    }

    own = {(route.method, re.sub("<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", route.path)) for route in ROUTES}
    assert described == own | {(each.method, each.path) for each in QUEUED}


def test_the_page_lists_them_and_loads_nothing(http: Client) -> None:
    page = http.get("/docs").text

    assert "/v1/dead-letters/{letter_id}/replay" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page


def test_a_query_parameter_that_a_call_needs_is_required(http: Client) -> None:
    permission = http.get("/openapi.json").get_json()["paths"]["/v1/clients/{name}/permission"]["get"]
    [action, experiment_id] = [each for each in permission["parameters"] if each["in"] == "query"]

    assert (action["name"], action.get("required")) == ("action", True)
    assert (experiment_id["name"], experiment_id.get("required")) == ("experiment_id", None)
    assert {route.path for route in ROUTES} >= {*QUERY_OF, *REQUIRED_QUERY}
