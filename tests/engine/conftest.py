# SPDX-License-Identifier: Apache-2.0
"""coffer itself: what the suites of tests/conform, shared with Docker and Podman, do not ask."""
from engine_fixtures import coffer, fresh, session  # noqa: F401
