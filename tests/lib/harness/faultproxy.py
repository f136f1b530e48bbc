# SPDX-License-Identifier: Apache-2.0
"""A proxy before a registry that does what bad networks, bad registries and attackers do.

    proxy = FaultProxy(registry)
    proxy.rule(faults.short_body(1000), path="/blobs/", times=1)

A rule is asked for each request whose path it fits, `times` times; the first that fits is what happens.
"""
import http.client
import time

from .fetch import Server


class Exchange:
    """A request and what the registry answers to it."""

    def __init__(self, proxy, request, body):
        self.proxy, self.request, self.body = proxy, request, body

    def ask(self, drop=()):
        """Asks the registry; (status, headers, body)."""
        c = http.client.HTTPConnection("127.0.0.1", self.proxy.upstream)
        headers = {k: v for k, v in self.request.headers.items()
                   if k.lower() not in ("connection", "transfer-encoding") + tuple(drop)}
        c.request(self.request.command, self.request.path, self.body, headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        return r.status, r.getheaders(), data

    def start(self, status, headers, length=None):
        self.request.send_response(status)
        for k, v in headers:
            if k.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.request.send_header(k, v)
            elif k.lower() == "content-length" and self.request.command == "HEAD":
                self.request.send_header(k, v)
        if length is not None:
            self.request.send_header("Content-Length", str(length))
        self.request.end_headers()

    def send(self, status, headers, body):
        self.start(status, headers, None if self.request.command == "HEAD" else len(body))
        if self.request.command != "HEAD":
            self.request.wfile.write(body)

    def hang_up(self):
        self.request.close_connection = True
        self.request.wfile.flush()
        self.request.connection.close()


class FaultProxy(Server):
    def __init__(self, registry, tls=None, host="127.0.0.1"):
        self.upstream = registry.port
        self.rules = []
        super().__init__(tls, host)

    def rule(self, action, path="", method=None, times=1 << 30, skip=0):
        self.rules.append([action, path, method, times, skip])

    def clear(self):
        self.rules = []
        self.log.clear()

    def handle(self, request):
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length) if length else None
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while True:
                n = int(request.rfile.readline(), 16)
                body += request.rfile.read(n)
                request.rfile.readline()
                if not n:
                    break
        x = Exchange(self, request, body)
        with self.lock:
            action = None
            for r in self.rules:
                if r[1] in request.path and r[2] in (None, request.command) and r[3] > 0:
                    if r[4] > 0:
                        r[4] -= 1
                        continue
                    r[3] -= 1
                    action = r[0]
                    break
        if action:
            action(x)
        else:
            x.send(*x.ask())


# ---- what may happen ----

def short_body(n):
    """Promises everything, sends n bytes, hangs up."""
    def do(x):
        status, headers, data = x.ask()
        x.start(status, headers, len(data))
        x.request.wfile.write(data[:n])
        x.hang_up()
    return do


def polite_short_body(n):
    """Says that n bytes are all there is."""
    def do(x):
        status, headers, data = x.ask()
        x.send(status, headers, data[:n])
    return do


def long_body(extra, promise=True):
    """More bytes than there are; with `promise` the length says so, else the stream does not end."""
    def do(x):
        status, headers, data = x.ask(drop=("range",))
        if promise:
            return x.send(status, headers, data + extra)
        x.request.send_response(status)
        x.request.send_header("Connection", "close")
        x.request.end_headers()
        x.request.wfile.write(data + extra)
        x.hang_up()
    return do


def ignore_range(x):
    """The whole blob whatever was asked for."""
    x.send(*x.ask(drop=("range",)))


def wrong_range(x):
    """Another range than was asked for."""
    status, headers, data = x.ask(drop=("range",))
    x.send(206, headers + [("Content-Range", "bytes 1-%d/%d" % (len(data) - 1, len(data)))], data[1:])


def corrupt(x):
    """A byte in the middle is another one."""
    status, headers, data = x.ask()
    i = len(data) // 2
    x.send(status, headers, data[:i] + bytes([data[i] ^ 1]) + data[i + 1:])


def status(code, body=b"", **headers):
    """No answer of the registry, but this status."""
    def do(x):
        Server.answer(x.request, code, body, **headers)
    return do


def unauthorized(challenge):
    return status(401, b"{}", WWW_Authenticate=challenge)


def redirect(base, code=307, keep_path=True):
    """To another place, as registries do with storage of their own."""
    def do(x):
        Server.answer(x.request, code, b"", Location=base + (x.request.path if keep_path else ""))
    return do


def slow_headers(step, seconds):
    """A byte of the head each `step` seconds: slow loris."""
    def do(x):
        end = time.monotonic() + seconds
        x.request.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while time.monotonic() < end:
            x.request.wfile.write(b"x")
            x.request.wfile.flush()
            time.sleep(step)
        x.hang_up()
    return do


def slow_body(n, step, seconds):
    """n bytes at once, then one each `step` seconds."""
    def do(x):
        code, headers, data = x.ask()
        x.start(code, headers, len(data))
        x.request.wfile.write(data[:n])
        end, at = time.monotonic() + seconds, n
        while time.monotonic() < end:
            x.request.wfile.write(data[at:at + 1])
            x.request.wfile.flush()
            at += 1
            time.sleep(step)
        x.hang_up()
    return do


def endless_headers(x):
    """Header fields without end."""
    x.request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for i in range(100000):
        x.request.wfile.write(b"X-Filler-%d: " % i + b"y" * 1000 + b"\r\n")
    x.hang_up()


def reset(x):
    """Nothing at all."""
    x.hang_up()
