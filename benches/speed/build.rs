//! The programs that are measured: the yardstick, and C programs on the shared library.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Programs {
    /// `bare_loop.c`
    pub yardstick: PathBuf,
    /// `bare_expiry.c`
    pub expiry_yardstick: PathBuf,
    /// `bare_silent.c`
    pub silent_yardstick: PathBuf,
    /// `bare_raw.c`
    pub raw_yardstick: PathBuf,
    /// `exchange.c`
    pub exchange: PathBuf,
    /// `forger.c`
    pub forger: PathBuf,
    /// `shaker_loop.c`
    pub racer: PathBuf,
    /// The same on the library with the locks of the crate parking_lot.
    pub racer_with_parking_lot: PathBuf,
    /// `shaker_state.c`
    pub holder: PathBuf,
    /// `shaker_many.c`
    pub crowd: PathBuf,
    /// `shaker_beside.c`
    pub neighbour: PathBuf,
}

/// Where the bench keeps what it makes.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed")
}

/// Builds them all. Both sides tell their latencies through `quantiles.c`.
pub fn programs() -> Result<Programs, String> {
    let library_with_parking_lot = linked_to(&library("library-parking-lot", &["--features", "parking_lot"])?);
    let library = linked_to(&library("library", &[])?);
    Ok(Programs {
        yardstick: compile("bare_loop", &["-pthread".to_owned()])?,
        expiry_yardstick: compile("bare_expiry", &[])?,
        silent_yardstick: compile("bare_silent", &[])?,
        raw_yardstick: compile("bare_raw", &[])?,
        exchange: compile("exchange", &[])?,
        forger: compile("forger", &[])?,
        racer: compile("shaker_loop", &library)?,
        racer_with_parking_lot: compile_as("shaker_loop_parking_lot", "shaker_loop", &library_with_parking_lot)?,
        holder: compile("shaker_state", &library)?,
        crowd: compile("shaker_many", &library)?,
        neighbour: compile("shaker_beside", &library)?,
    })
}

fn linked_to(directory: &Path) -> [String; 3] {
    let directory = directory.display();
    [format!("-L{directory}"), "-ltcpshaker".to_owned(), format!("-Wl,-rpath,{directory}")]
}

/// The shared library as a release has it with these flags, and the directory it is in.
///
/// Built by itself, as cargo leaves out the optimisation at link time where it builds a crate's Rust library in the
/// same call.
fn library(name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let target = directory().join(name);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["rustc", "--quiet", "--release", "--locked", "--offline", "--lib", "--crate-type", "cdylib"]);
    cargo.arg("--manifest-path").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target).args(flags);
    succeed(&mut cargo, "the library")?;
    // By this name the programs ask for it.
    let link = target.join("release/libtcpshaker.so.0.1");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink("libtcpshaker.so", &link).map_err(|error| format!("{}: {error}", link.display()))?;
    Ok(target.join("release"))
}

fn compile(name: &str, flags: &[String]) -> Result<PathBuf, String> {
    compile_as(name, name, flags)
}

fn compile_as(name: &str, source: &str, flags: &[String]) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = root.join("benches");
    let program = directory().join(name);
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or("gcc".into()));
    compiler.args(["-O2", "-g", "-Wall", "-Wextra", "-Wl,--wrap=qsort", "-o"]).arg(&program);
    compiler.arg("-I").arg(root.join("include"));
    compiler.arg(sources.join(source).with_extension("c")).arg(sources.join("quantiles.c")).args(flags);
    succeed(&mut compiler, name)?;
    Ok(program)
}

fn succeed(command: &mut Command, what: &str) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{what}: {command:?} does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what} does not build")) }
}
