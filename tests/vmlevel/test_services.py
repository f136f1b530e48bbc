# SPDX-License-Identifier: Apache-2.0
"""Real programs of Debian in one machine, asked from the host.  All of tests/engine/test_services.py at this level is `make stress-vm`."""
import os

import pytest

import libdebian
from libengine import need, wait_for

PACKAGES = ["python3", "nginx-light", "redis-server", "postgresql", "procps", "iproute2"]  # the image of tests/engine


@pytest.fixture(scope="module")
def debian(session):
    need("mmdebstrap")
    session("import", "-c", 'CMD ["bash"]', libdebian.archive(PACKAGES), "debian:test")
    yield "debian:test"
    session("rmi", "-f", "debian:test", rc=None)


def test_services_of_debian(vm, coffer, debian):
    need("redis-benchmark")
    cid = vm("-m", "256m", "-p", "127.0.0.1:8331:6379", "-p", "127.0.0.1:8332:80", "-p", "127.0.0.1:8333:8000", "-v", "pool:/pool", debian,
             "sh", "-c", "redis-server --protected-mode no --save '' --daemonize yes >/dev/null; nginx; "
             "exec python3 -m http.server 8000 -d /pool")

    def page(port, name=""):
        return coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:%d/%s" % (port, name), rc=None).stdout

    wait_for("redis", lambda: coffer.here("redis-cli", "-p", "8331", "ping", rc=None).stdout == "PONG\n", 120)
    out = coffer.here("redis-benchmark", "-p", "8331", "-n", "500", "-c", "10", "-t", "get,set", "-q", limit=120).stdout
    assert "SET" in out and "GET" in out, out
    wait_for("nginx", lambda: "nginx" in page(8332), 120)
    # A volume that both sides write to.
    pool = os.path.join(coffer.scratch, "root/volumes/pool/_data")
    with open(pool + "/of-the-host", "w") as f:
        f.write("host\n")
    wait_for("python's page of the host's file", lambda: page(8333, "of-the-host") == "host\n", 120)
    coffer("exec", cid, "python3", "-c", "open('/pool/of-the-guest', 'w').write('guest\\n')", limit=120)
    with open(pool + "/of-the-guest") as f:
        assert f.read() == "guest\n"
    coffer("rm", "-f", cid)
