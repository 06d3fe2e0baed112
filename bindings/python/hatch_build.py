"""Puts the C library into the wheel, so that whoever installs it needs nothing else."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SONAME = "libtcpshaker.so.0.1"


class CarryLibrary(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install finds the library as its environment says.
        if self.target_name != "wheel" or version == "editable":
            return
        library = find_library()
        if library is None:
            # The wheel is py3-none-any then, and loads the system's library.
            self.app.display_warning(f"{SONAME} is not here, so this wheel does not carry it")
            return
        build_data["force_include"][library] = f"tcpshaker/_lib/{SONAME}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        # Nothing in it depends on the version of Python, only on the system that the library was built for.
        build_data["tag"] = f"py3-none-{platform}"


def find_library() -> str | None:
    named = os.environ.get("TCPSHAKER_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise FileNotFoundError(f"TCPSHAKER_LIBRARY: no file {named}")
        return named
    try:
        libdir = subprocess.check_output(["pkg-config", "--variable=libdir", "tcpshaker"], text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    library = os.path.join(libdir, SONAME)
    return library if os.path.isfile(library) else None
