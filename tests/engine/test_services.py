# SPDX-License-Identifier: Apache-2.0
"""Real programs of Debian in images made of Debian's packages, behind published ports and under load."""
import pytest

import libdebian
from harness import env
from libengine import need, wait_for

PACKAGES = ["python3", "nginx-light", "redis-server", "postgresql", "procps", "iproute2"]


@pytest.fixture(scope="module")
def debian(session):
    need("mmdebstrap")
    session("import", "-c", 'CMD ["bash"]', libdebian.archive(PACKAGES), "debian:test")
    yield "debian:test"
    session("rmi", "-f", "debian:test", rc=None)


@pytest.fixture(params=["ns", "kernel"] + (["vm"] if env.STRESS > 1 else []))  # emulated, it takes minutes
def isolation(request):
    """What runs these programs must run them at every level."""
    return "--isolation=" + request.param


def test_python(coffer, debian, isolation):
    out = coffer.out("run", "--rm", isolation, *coffer.run_options(), debian, "python3", "-c",
                     "import os, subprocess, tempfile, threading; t=threading.Thread(target=print, args=('thread',)); t.start(); t.join();"
                     "print(subprocess.check_output(['id','-un'], text=True).strip(), os.path.exists(tempfile.mkdtemp()))")
    assert out == "thread\nroot True"


def test_nginx_under_load(coffer, debian, isolation):
    cid = coffer.start(isolation, "-p", "127.0.0.1:8300:80", debian, "nginx", "-g", "daemon off;")
    wait_for("nginx", lambda: coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8300/", rc=None).returncode == 0)
    assert "nginx" in coffer.here("busybox", "wget", "-qO-", "http://127.0.0.1:8300/").stdout
    need("wrk")
    out = coffer.here("wrk", "-t1", "-c20", "-d2", "http://127.0.0.1:8300/").stdout
    assert "Requests/sec" in out and "Non-2xx" not in out and "Socket errors" not in out, out
    coffer("stop", cid)
    assert coffer.inspect(cid, "{{.State.ExitCode}}") == "0"


def test_redis(coffer, debian, isolation):
    need("redis-benchmark")
    coffer.start(isolation, "-p", "127.0.0.1:8301:6379", debian, "redis-server", "--protected-mode", "no", "--save", "")
    ping = ["redis-cli", "-p", "8301", "ping"]
    wait_for("redis", lambda: coffer.here(*ping, rc=None).stdout == "PONG\n")
    out = coffer.here("redis-benchmark", "-p", "8301", "-n", "20000", "-t", "get,set", "-q").stdout
    assert "SET" in out and "GET" in out


@pytest.mark.limit(900)  # initdb in an emulated machine
def test_postgresql(coffer, debian, isolation):
    """A named volume keeps the data of a database across containers, with its owner."""
    script = ("set -e; install -d -o postgres /var/run/postgresql; v=$(ls /usr/lib/postgresql); d=/data/db; chown postgres /data; "
              "test -d $d || su postgres -c \"/usr/lib/postgresql/$v/bin/initdb -D $d\" >/dev/null; "
              "exec su postgres -c \"/usr/lib/postgresql/$v/bin/postgres -D $d\"")
    query = ["su", "postgres", "-c"]
    for step, want in (("create table t (a int); insert into t values (41); update t set a = a + 1", ""), ("", "42")):
        cid = coffer.start(isolation, "-v", "pg:/data", "--shm-size", "128m", debian, "bash", "-c", script)
        wait_for("postgresql", lambda: coffer("exec", cid, *query, "psql -Atc 'select 1'", rc=None).stdout == "1\n", 400)
        if step:
            coffer("exec", cid, *query, "psql -c '%s'" % step.replace("; ", "' -c '"))
        else:
            assert coffer.out("exec", cid, *query, "psql -Atc 'select a from t'") == want
        coffer("stop", "-t", "20", cid)
        coffer("rm", cid)


def test_users_of_the_image(coffer, debian, isolation):
    """By name, with the supplementary groups of the image's /etc/group."""
    assert coffer.out("run", "--rm", isolation, *coffer.run_options(), "--user", "www-data", debian, "id") == \
        "uid=33(www-data) gid=33(www-data) groups=33(www-data)"
    done = coffer("run", "--rm", isolation, *coffer.run_options(), "--user", "nobody-here", debian, "id", rc=125)
    assert "unable to find user nobody-here: no matching entries in passwd file" in done.stderr


def test_ping_without_a_capability(coffer, debian, isolation):
    """CAP_NET_RAW is not given; sockets for echo requests are, to every group of the container."""
    for user in ("0", "1000:2000"):
        out = coffer.out("run", "--rm", isolation, *coffer.run_options(), "--user", user, "--cap-drop", "ALL", debian, "python3", "-c",
                         "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(5);"
                         "s.sendto(b'\\x08\\0\\0\\0\\0\\0\\0\\1', ('127.0.0.1', 0)); print(s.recv(99)[0])")
        assert out == "0"


UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 53))
while True:
    data, peer = s.recvfrom(100)
    s.sendto(data, peer)
"""
UDP_ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
s.sendto(b"echo", ("127.0.0.1", 5300))
print(s.recv(100))
"""


def test_udp_publish(coffer, debian, isolation):
    coffer.start(isolation, "-p", "5300:53/udp", debian, "python3", "-c", UDP_ECHO)
    wait_for("an answer", lambda: coffer.here("/usr/bin/python3", "-c", UDP_ASK, rc=None).stdout == "b'echo'\n")
