# SPDX-License-Identifier: Apache-2.0
"""The validation suite of the OCI runtime specification: each program is one test."""
import os

import pytest

import libvalidation
from libengine import by_view

EXPECTED = libvalidation.expectations()


@pytest.fixture(scope="module")
def programs():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path, version = libvalidation.go()
    if path is None or version < libvalidation.OLDEST_GO:
        pytest.skip("the validation suite needs Go %d.%d" % libvalidation.OLDEST_GO)
    return libvalidation.build()


def test_list_is_complete(programs):
    assert sorted(os.listdir(programs + "/bin")) == sorted(EXPECTED)


@pytest.mark.limit(150)
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_validation(programs, name):
    kind, reason = EXPECTED[name]
    if kind == "v1":
        kind = by_view("pass", "machine")
    for _ in range(3 if kind == "race" else 1):
        outcome = libvalidation.run_program(programs, name)
        if outcome.passed:
            break
    if kind in ("pass", "race") or outcome.passed:
        assert outcome.passed, outcome.text()
        assert kind != "fault", "listed as a fault of the suite, but it passes: " + reason
        return
    pytest.xfail("known (%s): %s" % (kind, reason))
