# SPDX-License-Identifier: Apache-2.0
"""Real clients over the runtime under test. Everything started here is ended and removed here."""
import os

import pytest

import libengine
from harness import env

collect_ignore = [] if env.STRESS > 1 else ["test_machines.py"]


def _session(make, *programs):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    libengine.need(*programs)
    engine = make()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def docker_session():
    yield from _session(libengine.Docker, "dockerd", "docker")


@pytest.fixture(scope="session")
def podman_session():
    yield from _session(libengine.Podman, "podman")


@pytest.fixture(scope="session")
def pods_session():
    yield from _session(lambda: libengine.Podman(pods=True), "podman", "catatonit")


def _per_test(engine, request):
    """Each test ends with no container, no cgroup and no state of the runtime left."""
    yield engine
    engine.clear()
    try:
        libengine.wait_for("", lambda: not engine.leftovers(), 5)
    except AssertionError:
        left = engine.leftovers()
        libengine.remove_cgroups(engine.cgroup)
        if env.IS_COFFER and not request.node.failed_call:
            pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(scope="session")
def coffer_session():
    yield from _session(libengine.Coffer)


@pytest.fixture
def coffer(coffer_session, request):
    yield from _per_test(coffer_session, request)


@pytest.fixture
def docker(docker_session, request):
    yield from _per_test(docker_session, request)


@pytest.fixture
def podman(podman_session, request):
    yield from _per_test(podman_session, request)


@pytest.fixture
def pods(pods_session, request):
    """Podman as pods need it."""
    yield from _per_test(pods_session, request)


@pytest.fixture(scope="session")
def kernel_session():
    yield from _session(lambda: libengine.Coffer(level="kernel"))


@pytest.fixture
def kernel(kernel_session, request):
    """coffer that gives each container a kernel of its own in user space."""
    yield from _per_test(kernel_session, request)


@pytest.fixture(scope="session")
def vm_session():
    yield from _session(lambda: libengine.Coffer(level="vm"))


@pytest.fixture
def vm(vm_session, request):
    """coffer that gives each container a machine."""
    yield from _per_test(vm_session, request)


@pytest.fixture(params=["docker", "podman", "coffer", "kernel"] + (["vm"] if env.STRESS > 1 else []))
def engine(request):
    """Docker, Podman and coffer itself in turn, this one at its levels."""
    return request.getfixturevalue(request.param)
