//! Debian's Rust, which brings the source of its standard library: with it that library is compiled as well, for another
//! platform or with another kind of code.

use std::path::Path;
use std::process::Command;

use super::namespace::{find_program, skip};

const CARGO: &str = "/usr/bin/cargo";

/// Whether this machine has it, and these programs. If not, says that the test is skipped.
pub fn has(test: &str, programs: &[&str]) -> bool {
    if !Path::new(CARGO).exists() || !Path::new("/usr/lib/rustlib/src/rust/library").exists() {
        skip(test, "there is no Rust here that brings the source of its standard library (rustc-web, rust-web-src)");
        return false;
    }
    if let Some(program) = programs.iter().find(|program| find_program(program).is_none()) {
        skip(test, &format!("there is no {program} on this machine"));
        return false;
    }
    true
}

/// The command, in an environment without a trace of the cargo that runs this test. It has a target directory of its own:
/// another compiler made what lies in others.
pub fn command(target_directory: &Path) -> Command {
    let mut cargo = Command::new(CARGO);
    let foreign = |name: &str| ["CARGO", "RUST"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| foreign(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    cargo.env_remove("LD_LIBRARY_PATH").env_remove("MAKEFLAGS").env_remove("MFLAGS");
    cargo.env("PATH", "/usr/bin:/bin").env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_DIR", target_directory).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}
