"""Puts the C library into the wheel, and its sources into the sdist, so that whoever installs either has the library."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SONAME = "libtcpshaker.so.0.1"

# What every manylinux system has of what a Rust library asks for (PEP 600), and the machines that are tried.
SYSTEM_LIBRARIES = {
    *("libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"),
    *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
}
MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


class CannotBuild(Exception):
    """Says in one sentence what is missing."""


class CarryLibrary(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable install finds the library as its environment says.
        if version == "editable":
            return
        # It lives as long as this hook, and what is in it goes into the wheel or sdist after this.
        self.scratch = tempfile.TemporaryDirectory(prefix="tcpshaker-")
        try:
            if self.target_name == "sdist":
                self.carry_sources(build_data)
            elif self.target_name == "wheel" and os.environ.get("TCPSHAKER_BUNDLE") != "0":
                self.carry_library(build_data)
        except CannotBuild as reason:
            self.app.abort(f"tcpshaker: {reason}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self.scratch.cleanup()

    def carry_library(self, build_data: dict[str, Any]) -> None:
        library = find_library(self.metadata.version) or build_library(self.sources(), self.metadata.version)
        carried = os.path.join(self.scratch.name, SONAME)
        strip(library, carried)
        build_data["force_include"][carried] = f"tcpshaker/_lib/{SONAME}"
        build_data["sbom_files"].append("tcpshaker.cdx.json")
        build_data["pure_python"] = False
        # Nothing in it depends on the version of Python, only on the system that the library was built for.
        build_data["tag"] = f"py3-none-{platform(carried)}"

    def carry_sources(self, build_data: dict[str, Any]) -> None:
        # In the tree the notices are links to what is outside of this package, and an archive is to hold the files.
        forced = build_data["force_include"]
        for link in filter(Path.is_symlink, Path(self.root).iterdir()):
            forced.pop(str(link), None)
            forced[str(link.resolve())] = link.name
        # An sdist that is made of an sdist has them already.
        if self.sources() != Path(self.root, "library"):
            forced[package_sources(self.sources(), self.scratch.name)] = "library"

    def sources(self) -> Path:
        """The library's sources: an sdist has them inside, and in the library's tree they are around this package."""
        root = Path(self.root)
        for place in (root / "library", root.parent.parent):
            if (place / "abi/tcpshaker.map").is_file():
                return place
        raise CannotBuild(
            "the sources of libtcpshaker are neither in this package nor around it; install the library, "
            "name it in TCPSHAKER_LIBRARY, or take the package from the library's tree or its sdist"
        )


def find_library(version: str) -> str | None:
    """The library that the caller names, or that of this version which pkg-config finds."""
    named = os.environ.get("TCPSHAKER_LIBRARY")
    if named:
        if not os.path.isfile(named):
            raise CannotBuild(f"there is no file {named}, which TCPSHAKER_LIBRARY names")
        return named
    try:
        # One of another version is made of other crates than the notices and the inventory say.
        if pkg_config("--modversion") != version:
            return None
        library = os.path.join(pkg_config("--variable=libdir"), SONAME)
    except (OSError, subprocess.CalledProcessError):
        return None
    return library if os.path.isfile(library) else None


def pkg_config(question: str) -> str:
    answer = subprocess.run(
        ["pkg-config", question, "tcpshaker"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return answer.stdout.strip()


def cargo(*arguments: str, directory: Path, environment: dict[str, str] | None = None) -> str:
    """What cargo prints. It says itself why it fails."""
    program = shutil.which("cargo")
    if program is None:
        raise CannotBuild(
            "libtcpshaker is built from source with cargo (Rust 1.88 or newer), and there is no cargo on the PATH; "
            "install Rust, or the library, or name the library in TCPSHAKER_LIBRARY"
        )
    done = subprocess.run([program, *arguments], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise CannotBuild(f"cargo {arguments[0]} failed, and what it said is above")
    return done.stdout


def build_library(sources: Path, version: str) -> str:
    # No path of this machine gets into the library, as in the Makefile.
    home = os.environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo")
    place = f"/usr/src/tcpshaker-{version}"
    remap = f"--remap-path-prefix={home}={place}/cargo --remap-path-prefix={sources}={place}"
    environment = {**os.environ, "RUSTFLAGS": f"{os.environ.get('RUSTFLAGS', '')} {remap}".strip()}
    # Not `cargo build`, which makes the Rust library in the same call, and then drops the link-time optimisation.
    command = ["rustc", "--locked", "--release", "--lib", "--crate-type", "cdylib"]
    command.append("--message-format=json-render-diagnostics")
    said = cargo(*command, directory=sources, environment=environment)
    for message in map(json.loads, said.splitlines()):
        for file in message.get("filenames", []):
            if os.path.basename(file) == "libtcpshaker.so":
                return str(file)
    raise CannotBuild("cargo made no libtcpshaker.so; a target of musl needs RUSTFLAGS=-Ctarget-feature=-crt-static")


def package_sources(tree: Path, scratch: str) -> str:
    """What builds the library, and nothing else of the tree: the crate's package, and the crates that it is linked with."""
    cargo("package", "--locked", "--no-verify", "--allow-dirty", "--quiet", "--target-dir", scratch, directory=tree)
    [crate] = Path(scratch, "package").glob("*.crate")
    with tarfile.open(crate) as archive:
        archive.extractall(scratch)
    sources = os.path.join(scratch, crate.stem)
    # What cargo says of the tree that it packed.
    for about in (".cargo_vcs_info.json", "Cargo.toml.orig"):
        Path(sources, about).unlink(missing_ok=True)
    if subprocess.run([tree / "packaging/vendor", sources]).returncode != 0:
        raise CannotBuild("packaging/vendor failed, and what it said is above")
    return sources


def strip(library: str, stripped: str) -> None:
    """Leaves out what debuggers read, which is most of the file."""
    program = os.environ.get("STRIP", "strip")
    try:
        subprocess.run([program, "--strip-unneeded", "-o", stripped, library], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotBuild(f"the library is stripped with {program} (binutils; STRIP names another): {error}") from None


def platform(library: str) -> str:
    """The least system that loads it, which the newest of the versions that it asks of glibc's symbols says. Where that
    cannot be told, as with musl, the system of this machine."""
    here = re.sub("[-.]", "_", sysconfig.get_platform())
    with open(library, "rb") as file:
        elf = ELFFile(file)
        machine = MACHINES.get(elf["e_machine"])
        dynamic, versions = elf.get_section_by_name(".dynamic"), elf.get_section_by_name(".gnu.version_r")
        if machine is None or not isinstance(dynamic, DynamicSection) or not isinstance(versions, GNUVerNeedSection):
            return here
        # Only tags of this kind have the attribute.
        needed = {getattr(tag, "needed") for tag in dynamic.iter_tags("DT_NEEDED")}
        names = [auxiliary.name for _, auxiliaries in versions.iter_versions() for auxiliary in auxiliaries]
    numbers = [re.match(r"GLIBC_(\d+)\.(\d+)", name) for name in names if name.startswith("GLIBC_")]
    known = [(int(number[1]), int(number[2])) for number in numbers if number]
    # A name without a number, as GLIBC_ABI_DT_RELR is, tells nothing of the system.
    if not known or len(known) < len(numbers) or not needed <= SYSTEM_LIBRARIES:
        return here
    major, minor = max(known)
    return f"manylinux_{major}_{minor}_{machine}"
