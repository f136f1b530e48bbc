# SPDX-License-Identifier: Apache-2.0
"""Fixtures and rules that every suite shares: levels, containers, leak checks, skips, time limits."""
import os
import signal
import sys

import pytest

from . import bundle, cgroups, console, container, env, host, leaks, skips

TEST_LIMIT = 180  # seconds; a test that hangs fails instead of stopping the suite


def pytest_configure(config):
    if env.VIEW == "v2":
        cgroups.enter_private_view()
    config.skip_rules = skips.load()
    os.environ.setdefault("COFFER_VM_START_SECONDS", str(int(env.seconds(60))))
    if os.geteuid() == 0 and not os.path.exists(env.OCI):
        pytest.exit("no runtime at %s: run make, or set COFFER_OCI" % env.OCI, 3)


def pytest_report_header(config):
    return "runtime: %s, levels: %s, cgroup view: %s" % (env.OCI, " ".join(env.LEVELS), env.VIEW)


def pytest_generate_tests(metafunc):
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", env.LEVELS, indirect=False)


def pytest_collection_modifyitems(config, items):
    """`@pytest.mark.levels("ns")`: a test of how a level works and not of what the contract promises at each."""
    def belongs(item):
        marker, spec = item.get_closest_marker("levels"), getattr(item, "callspec", None)
        return not marker or not spec or "level" not in spec.params or spec.params["level"] in marker.args

    dropped = [i for i in items if not belongs(i)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [i for i in items if belongs(i)]


def pytest_unconfigure(config):
    cgroups.close_views()
    bundle.drop_store()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A skip that no list expects is a failure: nothing vanishes from the suite unseen."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and not env.ANY_SKIP:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not skips.expected(item.nodeid, reason, item.config.skip_rules):
            report.outcome = "failed"
            report.longrepr = "unexpected skip (no rule in tests/skips.txt): " + reason
    item.failed_call = getattr(item, "failed_call", False) or report.failed


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    marker = item.get_closest_marker("limit")
    limit = env.seconds(marker.args[0] if marker else TEST_LIMIT)

    def expire(signum, frame):
        raise TimeoutError("test ran longer than %g s" % limit)

    old = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


@pytest.fixture
def runtime(level, request):
    """The runtime with scratch, state and cgroup of its own; afterwards nothing may be left of it."""
    rt = container.Runtime(level)
    yield rt
    for c in rt.containers:
        c.cleanup()
    left = [] if request.node.get_closest_marker("untidy") else leaks.settled(rt)
    rt.close()
    if left and not getattr(request.node, "failed_call", False):
        pytest.fail("left behind after delete --force:\n  " + "\n  ".join(left), pytrace=False)
    for line in left:
        print("left behind: " + line, file=sys.stderr)


@pytest.fixture
def v2_runtime(level):
    """The same in the private cgroup2 view, for tests that look at both."""
    rt = container.Runtime(level, view="v2")
    yield rt
    rt.close()


@pytest.fixture
def ct(runtime):
    """A factory: ct(args_or_script, ...) makes a Container that is cleaned up afterwards."""
    return runtime.container


@pytest.fixture
def console_socket(runtime):
    sock = console.ConsoleSocket(runtime.scratch)
    yield sock
    sock.close()


@pytest.fixture
def host_mount(runtime):
    """host_mount(source, target, fstype=None, flags=0): a mount on the host that ends with the test."""
    made = []

    def do(source, target, fstype=None, flags=0):
        os.makedirs(target, exist_ok=True)
        host.mount(source, target, fstype, flags)
        made.append(target)

    yield do
    for target in reversed(made):
        host.umount(target)
