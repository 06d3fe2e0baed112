//! C programs of the tests, compiled against the library that the tests themselves were built with.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::Command;

/// What tcpshaker.pc names.
const NATIVE_LIBRARIES: [&str; 3] = ["-lpthread", "-lm", "-ldl"];

/// Compiles a program, named by its path from the root of the repository, and returns where it is; or says which of
/// the packages that it needs pkg-config does not find.
pub fn build(source: &str, packages: &[&str]) -> Result<PathBuf, String> {
    build_with(source, packages, &[])
}

/// The same, with further arguments of the compiler, which runs in the root of the repository.
pub fn build_with(source: &str, packages: &[&str], arguments: &[&str]) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut flags = Vec::new();
    for package in packages {
        flags.extend(flags_of(package)?);
    }
    // Cargo puts what a test needs of this package beside the test itself.
    let test = std::env::current_exe().expect("the path of this test");
    let library = test.parent().expect("a directory").join("libtcpshaker.a");
    let stem = Path::new(source).file_stem().expect("a name").to_str().expect("plain text");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{stem}-{}", std::process::id()));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    compiler.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-g"]);
    compiler.args(arguments).current_dir(root);
    compiler.arg("-I").arg(root.join("include")).arg("-o").arg(&program).arg(root.join(source)).arg(&library);
    let output = compiler.args(&flags).args(NATIVE_LIBRARIES).output().expect("a C compiler");
    assert!(output.status.success(), "{source} does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

fn flags_of(package: &str) -> Result<Vec<String>, String> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", package]).output();
    let output = output.map_err(|_| String::from("there is no pkg-config on this machine"))?;
    if !output.status.success() {
        return Err(format!("pkg-config knows no {package} on this machine"));
    }
    // Their headers are not ours to be strict with.
    let flags = String::from_utf8(output.stdout).expect("plain text");
    Ok(flags.split_whitespace().map(|flag| flag.replacen("-I", "-isystem", 1)).collect())
}
