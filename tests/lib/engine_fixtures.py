# SPDX-License-Identifier: Apache-2.0
"""Fixtures of suites that test coffer itself, without Docker and Podman beside it."""
import os

import pytest

import libengine


@pytest.fixture(scope="session")
def session():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    engine = libengine.Coffer()
    yield engine
    engine.close()


@pytest.fixture
def coffer(session, request):
    """Each test ends with nothing left but images."""
    yield session
    session.clear()
    session("network", "prune", "-f")
    session("volume", "prune", "-af")
    try:
        libengine.wait_for("", lambda: not session.leftovers() and not session.monitors(), 5)
    except AssertionError:
        left = session.leftovers() + ["process %d" % p for p in session.monitors()]
        if not request.node.failed_call:
            pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def fresh(request):
    """fresh(*globals, config=""): an engine with a store of its own, for tests that kill and break."""
    made = []

    def make(*args, **kw):
        made.append(libengine.Coffer(*args, **kw))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
