# SPDX-License-Identifier: Apache-2.0
"""Each level of a path has one variable name: API Gateway and other routers refuse a second one."""

import re
from collections import defaultdict

from api.routes.table import ROUTES


def test_a_level_of_a_path_has_one_variable_name() -> None:
    names: defaultdict[str, set[str]] = defaultdict(set)
    for route in ROUTES:
        for variable in re.finditer(r"\{(\w+)\}", route.template):
            names[re.sub(r"\{\w+\}", "{}", route.template[: variable.start()])].add(variable[1])

    assert names["/v1/runs/"] == {"run"}
    assert {level: found for level, found in names.items() if len(found) > 1} == {}
