//! The library as `make install` installs it, and the programs of other languages that use it from there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::c_programs::{finish_within, lock};
use crate::support::namespace::{find_program, skip};

/// The library may have to be built from nothing, on a slow machine.
const BUILD_TIME: Duration = Duration::from_secs(1800);
/// What a consumer may take, its own build included.
const RUN_TIME: Duration = Duration::from_secs(900);
/// How a consumer's script says that a tool is missing.
const LACKS_A_TOOL: i32 = 77;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Takes away what the cargo that runs this test tells its children of its own build.
fn forget_this_build(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let own =
            ["CARGO_PKG_", "CARGO_MANIFEST", "CARGO_BIN", "CARGO_CRATE", "CARGO_TARGET_TMPDIR", "CARGO_MAKEFLAGS"];
        if own.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    for name in ["RUSTFLAGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LD_LIBRARY_PATH", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Where cargo builds, for this test and for make.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a directory of cargo's")
}

/// An empty place to install to.
fn place(name: &str) -> PathBuf {
    let place = target().join("installed").join(name);
    let _ = std::fs::remove_dir_all(&place);
    place
}

fn install() -> Option<PathBuf> {
    find_program("make")?;
    let prefix = place("prefix");
    // The tool is built on the way.
    let _lock = lock(&root().join("tools/tcp-checker"));
    let mut make = Command::new("make");
    forget_this_build(&mut make).current_dir(root()).env("CARGO_TARGET_DIR", target()).env("WERROR", "-Werror");
    let installed = finish_within(make.arg("install").arg(format!("PREFIX={}", prefix.display())), "", BUILD_TIME);
    assert!(installed.status.success(), "{}", installed.stderr);
    Some(prefix)
}

/// Where cargo-c installs the library, once for all tests. `None` where it is missing, and the test is skipped.
pub fn prefix_of_cargo_c(test: &str) -> Option<&'static Path> {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    if !Command::new("cargo").args(["cinstall", "--version"]).output().is_ok_and(|output| output.status.success()) {
        skip(test, "there is no cargo-c on this machine");
        return None;
    }
    Some(PREFIX.get_or_init(install_by_cargo_c))
}

fn install_by_cargo_c() -> PathBuf {
    let prefix = place("prefix-of-cargo-c");
    let mut cargo = Command::new("cargo");
    forget_this_build(&mut cargo).current_dir(root()).env("CARGO_TARGET_DIR", target().join("installed"));
    cargo.args(["cinstall", "--locked", "--release", "--prefix"]).arg(&prefix).arg("--libdir").arg(prefix.join("lib"));
    let installed = finish_within(&mut cargo, "", BUILD_TIME);
    assert!(installed.status.success(), "{}", installed.stderr);
    prefix
}

/// Where the library is installed, once for all tests. `None` where make is missing, and the test is skipped.
pub fn prefix(test: &str) -> Option<&'static Path> {
    static PREFIX: OnceLock<Option<PathBuf>> = OnceLock::new();
    let prefix = PREFIX.get_or_init(install).as_deref();
    if prefix.is_none() {
        skip(test, "there is no make on this machine");
    }
    prefix
}

/// Has a command find the installed library.
pub fn at_home(command: &mut Command, prefix: &Path) {
    forget_this_build(command);
    command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).env("LD_LIBRARY_PATH", prefix.join("lib"));
    command.env("TCPSHAKER_PREFIX", prefix).env("TCPSHAKER_TARGET_DIR", target());
}

/// Runs tests/consumers/NAME/run.
pub fn assert_works(name: &str) {
    let Some(prefix) = prefix(name) else { return };
    let mut run = Command::new("./run");
    at_home(&mut run, prefix);
    run.current_dir(root().join("tests/consumers").join(name));
    let ended = finish_within(&mut run, "", RUN_TIME);
    if ended.status.code() == Some(LACKS_A_TOOL) {
        return skip(name, ended.stdout.lines().last().unwrap_or("a tool is missing"));
    }
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
}
