# SPDX-License-Identifier: Apache-2.0
"""Who may see what: login, tokens, helpers; and where credentials never go."""
import base64
import fcntl
import json
import os
import stat
import time

import pytest

from harness import faultproxy, fetch, ociimage as oci

BASIC = "Basic " + base64.b64encode(b"user:secret").decode()


def put(registry, image, name):
    return registry.put(image, name, user="user:secret")


# ---- login and logout ----

def test_login_is_tried_and_kept(fetcher, basic_registry, name):
    image = oci.simple("login")
    ref = put(basic_registry, image, name)
    assert "log in" in fetcher.fails("pull", ref)
    assert "wrong" in fetcher.fails("login", "-u", "user", "--password-stdin", basic_registry.host, text="no")
    assert not os.path.exists(os.path.join(fetcher.home, ".docker/config.json"))
    done = fetcher.run("login", "-u", "user", "--password-stdin", basic_registry.host, text="secret\n")
    assert done.stdout == "Login Succeeded\n"
    path = os.path.join(fetcher.home, ".docker/config.json")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path) as f:
        assert json.load(f) == {"auths": {basic_registry.host: {"auth": base64.b64encode(b"user:secret").decode()}}}
    fetcher.pull(ref)
    assert fetcher.has(image)
    assert "Removing" in fetcher.run("logout", basic_registry.host).stdout
    assert "Not logged in" in fetcher.run("logout", basic_registry.host).stdout
    with open(path) as f:
        assert json.load(f) == {"auths": {}}


def test_login_keeps_what_else_is_in_the_file(fetcher, basic_registry):
    before = {"HttpHeaders": {"x": "a \"quoted\" \\ text"}, "auths": {"other.example": {"auth": "eDp5"}},
              "psFormat": "table {{.ID}}", "numbers": [1, 2.5, None, True]}
    path = fetcher.config(before)
    fetcher.run("login", "-u", "user", "-p", "secret", basic_registry.host)
    with open(path) as f:
        after = json.load(f)
    assert after["auths"].pop(basic_registry.host)
    assert after == before
    fetcher.run("logout", basic_registry.host)
    with open(path) as f:
        assert json.load(f) == before


def test_logins_at_once_wait_for_each_other(fetcher, basic_registry):
    """Whoever is between reading the file and writing it holds the directory's lock."""
    path = fetcher.config({})
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    login = fetcher.popen("login", "-u", "user", "-p", "secret", basic_registry.host)
    try:
        time.sleep(0.5)
        with open(path, "w") as f:
            json.dump({"auths": {"other.example": {"auth": "eDp5"}}}, f)
        time.sleep(0.5)
        assert login.poll() is None
        os.close(directory)
        assert login.wait(20) == 0
    finally:
        login.kill()
        login.communicate()
    with open(path) as f:
        assert sorted(json.load(f)["auths"]) == sorted(["other.example", basic_registry.host])


def test_who_may_read_the_directory_holds_up_no_login_for_ever(fetcher, basic_registry):
    directory = os.open(os.path.dirname(fetcher.config({})), os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    try:
        done = fetcher.run("login", "-u", "user", "-p", "secret", basic_registry.host, rc=None)
    finally:
        os.close(directory)
    assert done.returncode != 0 and "cannot lock the directory" in done.stderr, done


def test_a_file_that_cannot_be_read_is_not_written_anew(fetcher, basic_registry):
    path = fetcher.config({"auths": {"other.example": {"auth": "eDp5"}}})
    os.chmod(path, 0)
    plain_root = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    for command in (["login", "-u", "user", "-p", "secret", basic_registry.host], ["logout", basic_registry.host]):
        done = fetcher.run(*command, rc=None, before=plain_root)
        assert done.returncode != 0 and "config.json" in done.stderr and "Permission denied" in done.stderr, done
    os.chmod(path, 0o600)
    with open(path) as f:
        assert json.load(f) == {"auths": {"other.example": {"auth": "eDp5"}}}


def test_docker_config_and_auth_file_variables(fetcher, basic_registry, name, tmp_path):
    ref = put(basic_registry, oci.simple("env"), name)
    doc = json.dumps({"auths": {"https://%s/v2/" % basic_registry.host: {"username": "user", "password": "secret"}}})
    (tmp_path / "config.json").write_text(doc)
    (tmp_path / "auth.json").write_text(doc)
    fetcher.environ["DOCKER_CONFIG"] = str(tmp_path)
    fetcher.run("inspect", ref)
    fetcher.environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "nothing.json")
    fetcher.fails("inspect", ref)
    fetcher.environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
    del fetcher.environ["DOCKER_CONFIG"]
    fetcher.run("inspect", ref)


def test_podmans_auth_json_with_a_path(fetcher, basic_registry, name):
    ref = put(basic_registry, oci.simple("podman"), name)
    os.makedirs(os.path.join(fetcher.home, ".config/containers"))
    with open(os.path.join(fetcher.home, ".config/containers/auth.json"), "w") as f:
        json.dump({"auths": {basic_registry.host: {"auth": base64.b64encode(b"user:wrong").decode()},
                             basic_registry.host + "/" + name: {"auth": base64.b64encode(b"user:secret").decode()}}}, f)
    fetcher.run("inspect", ref)


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": []}', '{"auths": {"%s": {"auth": "%%%%"}}}', "\0"])
def test_broken_config_is_named(fetcher, basic_registry, name, text):
    path = fetcher.config({})
    with open(path, "w") as f:
        f.write(text.replace("%s", basic_registry.host).replace("%%", "%"))
    assert "config.json" in fetcher.fails("pull", "%s/%s" % (basic_registry.host, name))


# ---- helpers ----

HELPER = """#!/bin/sh
echo "$1 $(cat)" >> %(log)s
case $1 in
get) %(get)s ;;
esac
"""


def helper(fetcher, tmp_path, get, name="test"):
    where = tmp_path / "bin"
    where.mkdir(exist_ok=True)
    path = where / ("docker-credential-" + name)
    path.write_text(HELPER % {"log": tmp_path / "helper.log", "get": get})
    path.chmod(0o755)
    fetcher.environ["PATH"] = "%s:%s" % (where, os.environ["PATH"])
    return tmp_path / "helper.log"


def test_helper_per_host_before_store_before_file(fetcher, basic_registry, name, tmp_path):
    ref = put(basic_registry, oci.simple("helper"), name)
    log = helper(fetcher, tmp_path, """echo '{"ServerURL":"x","Username":"user","Secret":"secret"}'""")
    helper(fetcher, tmp_path, "exit 1", "bad")
    fetcher.config({"credHelpers": {basic_registry.host: "test"}, "credsStore": "bad",
                    "auths": {basic_registry.host: {"auth": base64.b64encode(b"user:wrong").decode()}}})
    fetcher.run("inspect", ref)
    assert log.read_text() == "get %s\n" % basic_registry.host


def test_login_through_a_helper(fetcher, basic_registry, tmp_path):
    log = helper(fetcher, tmp_path, "echo credentials not found in native keychain; exit 1")
    path = fetcher.config({"credsStore": "test"})
    done = fetcher.run("login", "-u", "user", "--password-stdin", basic_registry.host, text="secret")
    assert "unencrypted" not in done.stderr
    line = log.read_text().splitlines()[-1]
    assert line.startswith("store ")
    assert json.loads(line[6:]) == {"ServerURL": basic_registry.host, "Username": "user", "Secret": "secret"}
    assert "secret" not in open(path).read()
    fetcher.run("logout", basic_registry.host)
    assert log.read_text().splitlines()[-1] == "erase " + basic_registry.host


@pytest.mark.parametrize("get,said", [
    ("exit 3", "failed"), ("echo nonsense", "no JSON"), ("echo '{'; echo '}}'", "helper"),
    ("yes '{\"Username\"' | head -c 3000000", "helper"), ("kill -9 $$", "failed")])
def test_bad_helpers(fetcher, basic_registry, tmp_path, get, said):
    helper(fetcher, tmp_path, get)
    fetcher.config({"credsStore": "test"})
    message = fetcher.fails("pull", basic_registry.host + "/x")
    assert said in message or "credential" in message


@pytest.mark.parametrize("which", ["../evil", "a b", "a/b", "x;id", "", "-"])
def test_helper_names_are_names(fetcher, basic_registry, which):
    fetcher.config({"credHelpers": {basic_registry.host: which}})
    fetcher.fails("pull", basic_registry.host + "/x")


def test_a_missing_helper_is_named(fetcher, basic_registry):
    fetcher.config({"credsStore": "nowhere"})
    assert "docker-credential-nowhere" in fetcher.fails("pull", basic_registry.host + "/x")


# ---- tokens ----

def test_token(fetcher, token_registry, token_server, name):
    fetcher.login(token_registry.host)
    fetcher.fails("pull", "%s/%s" % (token_registry.host, name))  # there is nothing, but it may look
    asked = token_server.seen("/token")
    assert asked and asked[0][2]["authorization"] == BASIC
    assert "scope=repository%%3A%s%%3Apull" % name.replace("/", "%2F") in asked[0][1]
    assert "service=test-service" in asked[0][1]


def test_one_token_serves_all_layers(fetcher, other, registry, token_registry, token_server, name):
    image = oci.simple("layers", layers=6)
    from test_push import retag
    ref = registry.put(image, name)
    fetcher.pull(ref)
    target = retag(fetcher, image, ref, "%s/%s:latest" % (token_registry.host, name))
    fetcher.login(token_registry.host)
    fetcher.run("push", target)
    token_server.log.clear()
    other.login(token_registry.host)
    other.pull(target)
    assert other.has(image)
    assert len(token_server.seen("/token")) == 1


def test_wrong_password_for_a_token(fetcher, token_registry, name):
    fetcher.login(token_registry.host, password="wrong")
    assert "refuses the user name or the password" in fetcher.fails("pull", "%s/%s" % (token_registry.host, name))


def test_nobody_is_told_to_log_in(fetcher, token_registry, name):
    assert "log in first" in fetcher.fails("pull", "%s/%s" % (token_registry.host, name))


def test_identity_token(fetcher, token_registry, token_server, name):
    fetcher.config({"auths": {token_registry.host: {"auth": base64.b64encode(b"user:").decode(),
                                                    "identitytoken": token_server.refresh}}})
    said = fetcher.fails("pull", "%s/%s" % (token_registry.host, name))
    assert "404" in said
    assert [x[0] for x in token_server.seen("/token")] == ["POST"]


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"token":""}', b'{"token":"a\\nX: y"}', b'{"token":5}',
                                    b'{"token":"' + b"x" * 300000 + b'"}'],
                         ids=["empty", "half", "list", "blank", "line-break", "number", "huge"])
def test_bad_token_answers(fetcher, token_registry, token_server, name, answer):
    fetcher.login(token_registry.host)
    token_server.answers = [answer] * 10
    fetcher.fails("pull", "%s/%s" % (token_registry.host, name))


def test_a_token_that_expires_in_the_middle_is_renewed(fetcher, registry, proxy, certificates, name):
    """Six layers at once are told that their token is stale: one new token for all of them."""
    image = oci.simple("renew", layers=6)
    registry.put(image, name)
    valid = {"token": None, "n": 0}

    class Tokens(fetch.Server):
        def handle(self, request):
            valid["n"] += 1
            valid["token"] = "token-%d" % valid["n"]
            self.answer(request, 200, json.dumps({"token": valid["token"]}).encode())

    tokens = Tokens(tls=certificates)

    def check(x):
        if x.request.headers.get("Authorization") != "Bearer %s" % valid["token"]:
            return faultproxy.unauthorized('Bearer realm="%s/token",service="s",scope="repository:%s:pull"' % (
                tokens.url, name))(x)
        if "/manifests/" in x.request.path:
            valid["token"] = "stale"  # from now on another one is wanted
        x.send(*x.ask(drop=("authorization",)))

    proxy.rule(check)
    try:
        fetcher.pull("%s/%s" % (proxy.host, name))
        assert fetcher.has(image)
        assert len(tokens.seen("/token")) == 2
    finally:
        tokens.close()


# ---- where credentials never go ----

@pytest.fixture
def evil(certificates):
    """Another host (another port is another origin); it asks for credentials and keeps what it is told."""

    class Evil(fetch.Server):
        def handle(self, request):
            self.answer(request, 401, b"{}", WWW_Authenticate='Basic realm="give me"')

    s = Evil()
    yield s
    s.close()


def told(evil):
    return [x[2]["authorization"] for x in evil.seen() if "authorization" in x[2]]


@pytest.fixture
def asks_basic(proxy):
    """The proxy wants Basic before it lets anybody through."""
    def check(x):
        if x.request.headers.get("Authorization") != BASIC:
            return faultproxy.unauthorized('Basic realm="r"')(x)
        x.send(*x.ask(drop=("authorization",)))
    proxy.check = check
    return proxy


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", ["/blobs/", "/manifests/"])
def test_a_redirect_to_another_host_gets_none(fetcher, registry, asks_basic, evil, name, code, path):
    registry.put(oci.simple("redirect"), name)
    fetcher.login(asks_basic.host)

    def check_then_redirect(x):
        if x.request.headers.get("Authorization") != BASIC:
            return faultproxy.unauthorized('Basic realm="r"')(x)
        faultproxy.redirect(evil.url, code)(x)

    asks_basic.rule(check_then_redirect, path=path)
    asks_basic.rule(asks_basic.check)
    fetcher.fails("pull", "%s/%s" % (asks_basic.host, name))
    assert evil.seen() and not told(evil)


def test_a_redirect_within_the_origin_keeps_them(fetcher, registry, asks_basic, name):
    image = oci.simple("same")
    registry.put(image, name)
    fetcher.login(asks_basic.host)
    asks_basic.rule(faultproxy.redirect("", 307), path="/blobs/", times=1)
    asks_basic.rule(asks_basic.check)
    fetcher.pull("%s/%s" % (asks_basic.host, name))
    assert fetcher.has(image)


def test_credentials_do_not_come_back_through_a_chain(fetcher, registry, asks_basic, name):
    """Origin, other host, origin again: what another host sends us to is not asked with credentials."""
    registry.put(oci.simple("chain"), name)
    fetcher.login(asks_basic.host)

    class Back(fetch.Server):
        def handle(self, request):
            self.answer(request, 307, b"", Location="http://%s/back%s" % (asks_basic.host, request.path))

    back = Back()
    try:
        asks_basic.rule(faultproxy.status(200, b"stolen"), path="/back/")
        asks_basic.rule(faultproxy.redirect(back.url), path="/blobs/")
        asks_basic.rule(asks_basic.check)
        fetcher.fails("pull", "%s/%s" % (asks_basic.host, name))
        assert back.seen() and asks_basic.seen("/back/")
        assert not [x for x in asks_basic.seen("/back/") if "authorization" in x[2]]
    finally:
        back.close()


def test_https_never_leads_to_http(fetcher, registry, certificates, evil, name):
    registry.put(oci.simple("down"), name)
    p = faultproxy.FaultProxy(registry, tls=certificates)
    try:
        p.rule(faultproxy.redirect(evil.url), path="/blobs/")
        said = fetcher.fails("pull", "%s/%s" % (p.host, name))
        assert "from https to http" in said and not evil.seen()
    finally:
        p.close()


def test_a_realm_must_not_be_plain_http_for_https(fetcher, registry, certificates, evil, name):
    registry.put(oci.simple("realm"), name)
    p = faultproxy.FaultProxy(registry, tls=certificates)
    try:
        fetcher.login(p.host)
        p.rule(faultproxy.unauthorized('Bearer realm="%s/token",service="s"' % evil.url))
        assert "unprotected" in fetcher.fails("pull", "%s/%s" % (p.host, name))
        assert not evil.seen()
    finally:
        p.close()


@pytest.mark.parametrize("realm", ["ftp://x/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "", "//x", "gopher://x"])
def test_strange_realms(fetcher, registry, proxy, name, realm):
    fetcher.login(proxy.host)
    proxy.rule(faultproxy.unauthorized('Bearer realm="%s"' % realm))
    fetcher.fails("pull", "%s/%s" % (proxy.host, name))


def test_a_challenge_of_a_redirects_target_is_not_answered(fetcher, registry, proxy, certificates, name):
    """CVE-2020-15157: another host, reached by a redirect, names itself as the token service."""
    registry.put(oci.simple("15157"), name)
    fetcher.login(proxy.host)

    class Thief(fetch.Server):
        def handle(self, request):
            if "/token" in request.path:
                return self.answer(request, 200, b'{"token":"x"}')
            self.answer(request, 401, b"{}", WWW_Authenticate='Bearer realm="https://%s/token",service="s"' % self.host)

    thief = Thief(tls=certificates)
    try:
        proxy.rule(faultproxy.redirect(thief.url), path="/blobs/")
        fetcher.fails("pull", "%s/%s" % (proxy.host, name))
        assert thief.seen("/v2/") and not thief.seen("/token") and not told(thief)
    finally:
        thief.close()


def test_a_mirror_gets_its_own_credentials_only(fetcher, registry, evil, asks_basic, name):
    image = oci.simple("mirror")
    registry.put(image, name)
    fetcher.login(asks_basic.host)
    asks_basic.rule(asks_basic.check)
    fetcher.settings["hosts"] = [{"host": asks_basic.host, "mirrors": [evil.url]}]
    fetcher.pull("%s/%s" % (asks_basic.host, name))
    assert fetcher.has(image) and evil.seen() and not told(evil)


def test_a_link_to_another_host_is_followed_at_home(fetcher, registry, asks_basic, evil, name):
    registry.put(oci.simple("link"), name)
    fetcher.login(asks_basic.host)

    def link(x):
        if x.request.headers.get("Authorization") != BASIC:
            return faultproxy.unauthorized('Basic realm="r"')(x)
        faultproxy.status(200, b'{"tags":["a"]}', Link='<%s/v2/x/tags/list?last=a>; rel="next"' % evil.url)(x)

    asks_basic.rule(link, path="/tags/list", times=2)
    asks_basic.rule(faultproxy.status(200, b'{"tags":["b"]}'), path="/tags/list")
    assert fetcher.run("tags", "%s/%s" % (asks_basic.host, name)).stdout == "a\nb\n"
    assert not evil.seen()


def test_uploads_elsewhere_get_none(fetcher, registry, asks_basic, evil, name):
    from test_push import retag
    image = oci.simple("upload")
    ref = registry.put(image, name)
    fetcher.pull(ref)
    target = retag(fetcher, image, ref, "%s/%s-2:latest" % (asks_basic.host, name))
    fetcher.login(asks_basic.host)

    def elsewhere(x):
        if x.request.headers.get("Authorization") != BASIC:
            return faultproxy.unauthorized('Basic realm="r"')(x)
        faultproxy.status(202, b"", Location=evil.url + "/upload")(x)

    asks_basic.rule(elsewhere, path="/blobs/uploads/", method="POST")
    asks_basic.rule(asks_basic.check)
    fetcher.fails("push", target)
    assert evil.seen() and not told(evil)


def test_secrets_are_not_in_messages_or_arguments(fetcher, basic_registry, name):
    fetcher.login(basic_registry.host, password="a-very-secret-word")
    done = fetcher.run("pull", "%s/%s" % (basic_registry.host, name), rc=1)
    assert "a-very-secret-word" not in done.stderr + done.stdout
    assert time  # nothing else may be printed either
