# SPDX-License-Identifier: Apache-2.0
"""Debian's programs in a container of level `kernel` and, to compare, of level `ns`."""
import os
import shutil

import libdebian
from harness.container import Runtime
from libengine import need


class Root:
    """A root file system of Debian packages that containers share one after the other."""

    def __init__(self, packages, top):
        need("mmdebstrap")
        self.path = libdebian.unpack(libdebian.archive(packages), str(top / "root"))

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def add(self, name, text):
        """A file in the root."""
        path = os.path.join(self.path, name.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, level, args, limit):
        """To its end, with a /tmp of its own."""
        rt = Runtime(level)
        try:
            c = rt.container(args, rootfs=False)
            c.config["root"] = {"path": self.path, "readonly": False}
            c.config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["mode=1777", "size=1g"]})
            c.process["cwd"] = "/tmp"
            return c.run(timeout=limit)
        finally:
            rt.close()
