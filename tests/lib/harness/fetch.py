# SPDX-License-Identifier: Apache-2.0
"""coffer-fetch under test, and registries for it: Debian's docker-registry in its variants, a token server.

COFFER_FETCH names the program (default: beside COFFER_OCI).
"""
import base64
import glob
import hashlib
import http.server
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from . import env

PROGRAM = os.path.abspath(os.environ.get("COFFER_FETCH") or os.path.join(os.path.dirname(env.OCI), "coffer-fetch"))
USER, PASSWORD = "user", "secret"
HTPASSWD = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"  # of the above


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Fetch:
    """The program with a store and a home of its own."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.root = os.path.join(scratch, "store")
        self.home = os.path.join(scratch, "home")
        os.makedirs(self.home, exist_ok=True)
        self.settings = {"certs_dir": os.path.join(scratch, "certs.d"), "stall_seconds": 2}
        self.environ = {"PATH": os.environ["PATH"], "HOME": self.home, "LC_ALL": "C.UTF-8"}

    def popen(self, *args, before=(), **kw):
        """before: the words of a program that starts it."""
        read, write = os.pipe()
        with os.fdopen(write, "w") as f:
            json.dump(self.settings, f)
        p = subprocess.Popen([*before, PROGRAM, "--root", self.root, "--settings", str(read), *args], pass_fds=[read],
                             env=self.environ, stdin=kw.pop("stdin", subprocess.DEVNULL),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)
        os.close(read)
        return p

    def run(self, *args, rc=0, limit=60, text=None, before=()):
        p = self.popen(*args, before=before, stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL)
        try:
            out, err = p.communicate(text, timeout=env.seconds(limit))
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            raise
        done = subprocess.CompletedProcess(args, p.returncode, out, err)
        if rc is not None:
            assert p.returncode == rc, "%s\nexit code %d, expected %d\nstdout: %s\nstderr: %s" % (
                " ".join(args), p.returncode, rc, out[-2000:], err[-2000:])
        return done

    def pull(self, ref, *args, **kw):
        return self.run("pull", *args, ref, **kw)

    def fails(self, *args, **kw):
        """Runs what must fail; its one line of error is returned."""
        err = self.run(*args, rc=1, **kw).stderr
        lines = [x for x in err.splitlines() if x.startswith("coffer: ")]
        assert len(lines) == 1, err
        return lines[0]

    def blob(self, digest):
        return os.path.join(self.root, "blobs", "sha256", digest.split(":")[1])

    def has(self, image):
        """Every byte of an ociimage.Image is in the store, and its layers are made."""
        for digest in list(image.blobs()) + [image.digest]:
            with open(self.blob(digest), "rb") as f:
                if "sha256:" + hashlib.sha256(f.read()).hexdigest() != digest:
                    return False
        return all(os.path.isdir(self.layer(x.diff_id)) for x in image.layers)

    def layer(self, diff_id):
        return os.path.join(self.root, "layers", diff_id.split(":")[1])

    def ingesting(self):
        return glob.glob(os.path.join(self.root, "ingest", "*"))

    def config(self, doc, name="config.json"):
        path = os.path.join(self.home, ".docker", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            json.dump(doc, f)
        return path

    def login(self, server, user=USER, password=PASSWORD):
        """Credentials in config.json without asking the server."""
        return self.config({"auths": {server: {"auth": base64.b64encode(
            ("%s:%s" % (user, password)).encode()).decode()}}})


class Certificates:
    """A CA and a server certificate for 127.0.0.1 and localhost, made by openssl."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        p = lambda name: os.path.join(directory, name)
        self.ca, self.ca_key = p("ca.crt"), p("ca.key")
        self.cert, self.key = p("server.crt"), p("server.key")
        ssl_run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True)
        ssl_run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=test CA", "-keyout", self.ca_key, "-out", self.ca)
        ssl_run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                "-keyout", self.key, "-out", p("server.csr"))
        with open(p("ext"), "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        ssl_run("x509", "-req", "-in", p("server.csr"), "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial",
                "-days", "2", "-extfile", p("ext"), "-out", self.cert)


class Registry:
    """Debian's docker-registry on a port of 127.0.0.1."""

    def __init__(self, directory, tls=None, htpasswd=False, token=None, host="127.0.0.1"):
        os.makedirs(directory, exist_ok=True)
        self.port = free_port()
        self.host = "%s:%d" % (host, self.port)
        self.tls = tls
        doc = {"version": 0.1, "log": {"level": "error", "accesslog": {"disabled": True}},
               "storage": {"filesystem": {"rootdirectory": os.path.join(directory, "data")},
                           "delete": {"enabled": True}},
               "http": {"addr": "127.0.0.1:%d" % self.port}}
        if tls:
            doc["http"]["tls"] = {"certificate": tls.cert, "key": tls.key}
        if htpasswd:
            path = os.path.join(directory, "htpasswd")
            with open(path, "w") as f:
                f.write(HTPASSWD)
            doc["auth"] = {"htpasswd": {"realm": "test", "path": path}}
        if token:
            doc["auth"] = {"token": {"realm": token.url + "/token", "service": "test-service", "issuer": "test-issuer",
                                     "rootcertbundle": token.cert}}
        config = os.path.join(directory, "config.yml")
        with open(config, "w") as f:
            json.dump(doc, f)  # JSON is YAML
        self.log = os.path.join(directory, "log")
        with open(self.log, "w") as f:
            self.proc = subprocess.Popen(["docker-registry", "serve", config], stdin=subprocess.DEVNULL, stdout=f,
                                         stderr=f)
        self.wait()

    def wait(self):
        deadline = time.monotonic() + env.seconds(20)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                with open(self.log) as f:
                    assert self.proc.poll() is None and time.monotonic() < deadline, f.read()
                time.sleep(0.03)

    def put(self, image, name, tag="latest", user=None):
        """Uploads an ociimage.Image or Index with plain HTTP requests of our own; user: "NAME:PASSWORD"."""
        for member in getattr(image, "images", [image]):
            for digest, data in member.blobs().items():
                self.request("POST", "/v2/%s/blobs/uploads/?digest=%s" % (name, digest), b"", auth=user, data_put=(
                    digest, data))
            self.request("PUT", "/v2/%s/manifests/%s" % (name, member.digest), member.manifest, auth=user,
                         content_type=member.media_type)
        self.request("PUT", "/v2/%s/manifests/%s" % (name, tag), image.manifest, auth=user,
                     content_type=image.media_type)
        return "%s/%s:%s" % (self.host, name, tag)

    def open(self, method, path, body=None, headers=(), auth=None):
        import http.client
        if self.tls:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl._create_unverified_context())
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port)
        h = dict(headers)
        if auth:
            h["Authorization"] = "Basic " + base64.b64encode(auth.encode()).decode()
        c.request(method, path, body, h)
        r = c.getresponse()
        data = r.read()
        c.close()
        return r, data

    def request(self, method, path, body=None, content_type=None, auth=None, data_put=None):
        r, data = self.open(method, path, body, {"Content-Type": content_type} if content_type else {}, auth)
        assert r.status < 300, (method, path, r.status, data)
        if data_put:
            digest, blob = data_put
            where = urllib.parse.urlsplit(r.headers["Location"])
            r, data = self.open("PUT", "%s?%s&digest=%s" % (where.path, where.query, digest), blob,
                                {"Content-Type": "application/octet-stream"}, auth)
            assert r.status == 201, (r.status, data)
        return data

    def manifest(self, name, tag, auth=None):
        r, data = self.open("GET", "/v2/%s/manifests/%s" % (name, tag), headers={"Accept": ", ".join((
            "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json"))}, auth=auth)
        assert r.status == 200, (r.status, data)
        return data

    def close(self):
        self.proc.terminate()
        self.proc.wait(env.seconds(10))


class Server:
    """An HTTP server in a thread; `handle(request)` of a subclass answers. `log` has (method, path, headers)."""

    def __init__(self, tls=None, host="127.0.0.1"):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def any(self):
                with outer.lock:
                    outer.log.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                self.connection.settimeout(60)
                try:
                    outer.handle(self)
                except (BrokenPipeError, ConnectionError, TimeoutError, ssl.SSLError):
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = any

        class Threading(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, request, client_address):
                if not isinstance(sys.exc_info()[1], OSError):  # who hangs up may
                    super().handle_error(request, client_address)

        self.log, self.lock = [], threading.Lock()
        self.server = Threading(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.host = "%s:%d" % (host, self.port)
        self.url = "%s://%s" % ("https" if tls else "http", self.host)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def handle(self, request):
        raise NotImplementedError

    @staticmethod
    def answer(request, status, body=b"", **headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def seen(self, what=""):
        """The requests whose path has `what` in it."""
        with self.lock:
            return [x for x in self.log if what in x[1]]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(Server):
    """Gives JSON web tokens that docker-registry believes (RS256, signed by openssl)."""

    def __init__(self, directory, tls=None, anonymous=False, expires=300):
        os.makedirs(directory, exist_ok=True)
        self.key, self.cert = os.path.join(directory, "token.key"), os.path.join(directory, "token.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=token",
                        "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)
        with open(self.cert) as f:
            self.x5c = "".join(x.strip() for x in f if "-----" not in x)
        self.anonymous, self.expires = anonymous, expires
        self.refresh = "the-refresh-token"
        self.answers = []  # texts to give instead, one a request
        super().__init__(tls)

    def token(self, user, scopes):
        now = int(time.time())
        access = []
        for s in scopes:
            kind, _, rest = s.partition(":")
            name, _, actions = rest.rpartition(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        head = _b64(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}).encode())
        body = _b64(json.dumps({"iss": "test-issuer", "sub": user, "aud": "test-service", "exp": now + 3600,
                                "nbf": now - 60, "iat": now - 60, "jti": "x", "access": access}).encode())
        text = "%s.%s" % (head, body)
        sign = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), check=True,
                              capture_output=True).stdout
        return "%s.%s" % (text, _b64(sign))

    def handle(self, request):
        url = urllib.parse.urlsplit(request.path)
        query = urllib.parse.parse_qs(url.query)
        user = None
        if request.command == "POST":
            form = urllib.parse.parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode())
            if form.get("refresh_token") != [self.refresh]:
                return self.answer(request, 401, b'{"details":"wrong refresh token"}')
            user, query = "token", {"scope": form.get("scope", [""])[0].split()}
        elif request.headers.get("Authorization"):
            pair = base64.b64decode(request.headers["Authorization"].split()[1]).decode()
            if pair != "%s:%s" % (USER, PASSWORD):
                return self.answer(request, 401, b'{"details":"incorrect username or password"}')
            user = USER
        elif not self.anonymous:
            return self.answer(request, 401, b'{"details":"who are you?"}')
        if self.answers:
            return self.answer(request, 200, self.answers.pop(0))
        scopes = query.get("scope", [])
        doc = {"token": self.token(user or "", scopes), "expires_in": self.expires}
        self.answer(request, 200, json.dumps(doc).encode(), Content_Type="application/json")


def scratch():
    return tempfile.mkdtemp(prefix="coffer-registry-")


def drop(directory):
    shutil.rmtree(directory, ignore_errors=True)
