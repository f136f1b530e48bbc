# SPDX-License-Identifier: Apache-2.0
"""coffer with containers in virtual machines."""
import os
import pathlib

import pytest

from engine_fixtures import coffer, session  # noqa: F401
from harness import env

collect_ignore = [] if env.STRESS > 1 else ["test_stress.py"]
KERNELS = pathlib.Path(os.environ.get("COFFER_VM_DIR", "/var/lib/coffer/vm"))


@pytest.fixture(scope="session")
def kernels():
    """Where the guests' kernels are."""
    if not any(KERNELS.glob("*/kernel")):
        pytest.skip("no kernel for machines: coffer vm fetch-kernel")
    return KERNELS


@pytest.fixture(scope="session")
def template(kernels, session):
    """Containers in user namespaces, the engine's usual ones, only read templates: without this each machine boots."""
    session("run", "--rm", "--isolation=vm", "--userns", "host", *session.run_options(), "box", "true", limit=120)


@pytest.fixture
def vm(template, coffer):
    """vm(*options_and_argv): a container in a machine, started detached; its id."""
    return lambda *words, **kw: coffer.start("--isolation=vm", *words, limit=120, **kw)
