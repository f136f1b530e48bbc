# SPDX-License-Identifier: Apache-2.0
"""A real bundle: Debian 12's minimal system with python3, nginx and redis as services of one container."""
import os
import re
import shutil
import tempfile

import pytest

import libdebian
import libengine
from harness import bundle, container, host
from libengine import run, wait_for

INIT = """#!/bin/sh
# first process of the container: starts the services and reaps
mkdir -p /run/redis && chown redis:redis /run/redis
nginx
setpriv --reuid=redis --regid=redis --init-groups redis-server --dir /var/lib/redis --save '' &
cd /srv && python3 /srv/app.py &
trap 'nginx -s quit; kill %1 %2; exit 0' TERM
while :; do wait; sleep 0.2; done
"""
APP = """
import http.server, json, os, socket, sqlite3, threading
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        db = sqlite3.connect("/srv/hits.db")
        db.execute("create table if not exists hits (n integer)")
        db.execute("insert into hits values (1)")
        db.commit()
        body = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "uid": os.getuid(),
                           "hits": db.execute("select count(*) from hits").fetchone()[0],
                           "threads": threading.active_count()}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), App).serve_forever()
"""
NGINX = """
server { listen 80; root /srv/www;
  location /app/ { proxy_pass http://127.0.0.1:8000/; } }
"""


@pytest.fixture(scope="module")
def root():
    if not shutil.which("mmdebstrap"):
        pytest.skip("no program mmdebstrap")
    top = tempfile.mkdtemp(prefix=libengine.TOKEN + "-")
    os.chmod(top, 0o755)
    path = libdebian.unpack(libdebian.archive(libdebian.SERVICES), top + "/root")
    for name, text in (("init", INIT), ("srv/app.py", APP), ("srv/www/index.html", "a page\n" * 4000),
                       ("etc/nginx/sites-enabled/default", NGINX)):
        name = os.path.join(path, name)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        if os.path.lexists(name):
            os.unlink(name)
        with open(name, "w") as f:
            f.write(text)
        os.chmod(name, 0o755)
    yield path
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def machine(runtime, root):
    """The container with its services up."""
    c = container.Container(runtime, ["/init"], rootfs=False, seccomp=True)
    c.config["root"] = {"path": root}
    c.config["hostname"] = "debian12"
    c.process["capabilities"] = {k: list(bundle.DEFAULT_CAPS) for k in ("bounding", "effective", "permitted")}
    c.resources["memory"] = {"limit": 512 << 20}
    c.resources["pids"] = {"limit": 200}
    for name in ("/tmp", "/run"):
        bundle.add_mount(c.config, name, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777")
    c.up()
    for probe in (["redis-cli", "ping"], fetch("http://127.0.0.1:8000/"), fetch("http://127.0.0.1/index.html")):
        wait_for(str(probe) + " to answer", lambda: c.exec(*probe).rc == 0, 30, 0.1)
    return c


def fetch(url):
    return ["python3", "-c", "import urllib.request as u; print(u.urlopen(%r).read().decode(), end='')" % url]


def in_network(c, argv, **kw):
    """A program of the host in the container's network namespace."""
    return run(["nsenter", "-t", str(c.pid), "-n"] + argv, **kw)


@pytest.mark.limit(240)
def test_services(machine):
    c = machine
    # nginx serves a file, and passes requests on to the Python program
    assert c.exec(*fetch("http://127.0.0.1/index.html")).ok().out == "a page\n" * 4000
    answer = c.exec(*fetch("http://127.0.0.1/app/")).ok().out
    assert '"host": "debian12"' in answer and '"uid": 0' in answer
    hits = [int(re.search(r'"hits": (\d+)', c.exec(*fetch("http://127.0.0.1/app/")).ok().out)[1]) for _ in range(3)]
    assert hits == list(range(hits[0], hits[0] + 3))
    # redis keeps what it is told, as a user of its own
    assert c.exec("redis-cli", "set", "k", "v").ok().out == "OK\n"
    assert c.exec("redis-cli", "get", "k").ok().out == "v\n"
    assert c.exec("ps", "-o", "user=", "-C", "redis-server").ok().out.split() == ["redis"]
    assert "www-data" in c.exec("ps", "-o", "user=", "-C", "nginx").ok().out.split()
    # the same from the host, inside the container's network namespace alone
    page = in_network(c, [bundle.env.BUSYBOX, "wget", "-q", "-O", "-", "http://127.0.0.1/"])
    assert page.stdout == "a page\n" * 4000
    assert in_network(c, [bundle.env.BUSYBOX, "netstat", "-ltn"]).stdout.count("LISTEN") >= 3
    # pausing stops the answers, resuming brings them back
    c.rt.call("pause", c.id).ok()
    c.rt.call("resume", c.id).ok()
    assert c.exec("redis-cli", "ping").ok().out == "PONG\n"


@pytest.mark.limit(240)
def test_load(machine):
    """Many requests at once, and a benchmark that forks and threads."""
    script = ("import concurrent.futures as f, urllib.request as u\n"
              "get = lambda i: len(u.urlopen('http://127.0.0.1/' if i % 2 else 'http://127.0.0.1/app/').read()) > 10\n"
              "with f.ThreadPoolExecutor(20) as p: print(sum(p.map(get, range(300))))\n")
    assert machine.exec("python3", "-c", script, timeout=120).ok().out == "300\n"
    out = machine.exec("redis-benchmark", "-q", "-n", "3000", "-c", "20", "-t", "set,get", timeout=120).ok().out
    assert "SET" in out and "GET" in out
    script = "import multiprocessing as m\nwith m.Pool(4) as p: print(sum(p.map(abs, range(-1000, 0))))"
    assert machine.exec("python3", "-c", script).ok().out == "500500\n"


@pytest.mark.limit(240)
def test_stop_in_order(machine):
    """TERM ends the services by their own hands; nothing is left."""
    pid = machine.pid
    machine.kill("TERM").ok()
    machine.wait_stopped(20)
    assert not os.path.exists("/proc/%d" % pid) or host.status(pid).get("State", "").startswith("Z")
    machine.delete().ok()


@pytest.mark.limit(240)
def test_debian_tools(runtime, root):
    """The distribution's own programs work: dpkg, perl, su, locale data, large directory walks."""
    c = container.Container(runtime, ["sleep", "600"], rootfs=False, seccomp=True)
    c.config["root"] = {"path": root}
    c.up()
    assert "nginx-light" in c.exec("dpkg-query", "-W", "-f", "${Package}\\n").ok().out
    assert c.exec("dpkg", "--verify", "coreutils").rc == 0
    assert c.exec("perl", "-e", "print 6*7").ok().out == "42"
    assert c.exec("su", "-s", "/bin/sh", "www-data", "-c", "id -un").ok().out == "www-data\n"
    assert int(c.exec("sh", "-c", "find /usr -xdev | wc -l").ok().out) > 3000
    assert c.exec("sh", "-c", "cd /tmp && tar -cf t.tar /etc && tar -tf t.tar | wc -l && rm t.tar").rc == 0
