# SPDX-License-Identifier: Apache-2.0
"""Registries on loopback addresses; nothing here touches the network."""
import os
import shutil

import pytest

from harness import faultproxy, fetch


def pytest_collection_modifyitems(items):
    for need in ("docker-registry", "openssl"):
        if not shutil.which(need):
            for item in items:
                item.add_marker(pytest.mark.skip(reason="no program " + need))


@pytest.fixture(scope="session")
def ground():
    """A directory of the session."""
    path = fetch.scratch()
    yield path
    fetch.drop(path)


@pytest.fixture(scope="session")
def certificates(ground):
    return fetch.Certificates(os.path.join(ground, "certs"))


@pytest.fixture(scope="session")
def registry(ground):
    r = fetch.Registry(os.path.join(ground, "plain"))
    yield r
    r.close()


@pytest.fixture(scope="session")
def tls_registry(ground, certificates):
    # "localhost" and loopback addresses are insecure by themselves unless a CA is given
    r = fetch.Registry(os.path.join(ground, "tls"), tls=certificates)
    yield r
    r.close()


@pytest.fixture(scope="session")
def basic_registry(ground, certificates):
    r = fetch.Registry(os.path.join(ground, "basic"), tls=certificates, htpasswd=True)
    yield r
    r.close()


@pytest.fixture
def token_server(ground, certificates, tmp_path):
    s = fetch.TokenServer(str(tmp_path / "token"), tls=certificates)
    yield s
    s.close()


@pytest.fixture
def token_registry(certificates, token_server, tmp_path):
    r = fetch.Registry(str(tmp_path / "token-registry"), tls=certificates, token=token_server)
    yield r
    r.close()


@pytest.fixture
def proxy(registry):
    """A faulty way to `registry`; its rules and log are the test's own."""
    p = faultproxy.FaultProxy(registry)
    yield p
    p.close()


@pytest.fixture
def fetcher(tmp_path):
    f = fetch.Fetch(str(tmp_path))
    yield f


@pytest.fixture
def other(tmp_path):
    """A second store."""
    f = fetch.Fetch(str(tmp_path / "other"))
    yield f


@pytest.fixture
def name(request):
    """A repository of the test's own."""
    text = request.node.name.lower().replace("[", "-").replace("]", "")
    return "t/" + "".join(c if c.isalnum() else "-" for c in text).strip("-").replace("--", "-")[:80].strip("-")
