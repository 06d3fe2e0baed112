//! Gives the shared object its SONAME, and its symbols their versions, on Linux (docs/abi.md).
//!
//! rustc writes a version script of its own for a shared object, without versions, and linkers take only one. So the
//! compiler that rustc links with is told to look for linkers in a directory of ours first (`-B`, which gcc and clang
//! have). What it finds there is a script for each linker of the machine, which puts abi/tcpshaker.map in place of
//! rustc's file and goes on as that linker.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// As `-fuse-ld=` knows them; the first that is there is taken unless the user's flags name another.
const LINKERS: [&str; 5] = ["ld.bfd", "ld", "ld.lld", "ld.gold", "ld.mold"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=abi/tcpshaker.map");
    if variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let compiler = Compiler::of_this_build();
    let linkers: Vec<(&str, PathBuf)> =
        LINKERS.iter().filter_map(|name| Some((*name, compiler.finds(name)?))).collect();
    let Some((_, first)) = linkers.first() else {
        println!(
            "cargo::warning=libtcpshaker.so gets neither SONAME nor symbol versions: {} is no gcc and no clang",
            compiler.program
        );
        return;
    };
    let directory = Path::new(&variable("OUT_DIR")).join("linkers");
    fs::create_dir_all(&directory).expect("OUT_DIR is ours to write to");
    // A copy: another checkout may build in the same target directory when this one has gone.
    let map = directory.join("tcpshaker.map");
    let ours = fs::read(Path::new(&variable("CARGO_MANIFEST_DIR")).join("abi/tcpshaker.map"));
    fs::write(&map, ours.expect("a file of the sources")).expect("OUT_DIR is ours to write to");
    // The name of the default, ld.bfd, is taken whether or not that is the linker that is there.
    write_script(&directory.join("ld.bfd"), first, &map);
    for (name, linker) in &linkers {
        write_script(&directory.join(name), linker, &map);
    }
    // Rust's own lld stands in a directory that the compiler looks into before ours.
    for argument in [format!("-B{}/", directory.display()), "-fuse-ld=bfd".to_owned(), soname()] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}

/// Before 1.0 a minor release may break the ABI.
fn soname() -> String {
    let [major, minor] = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR"].map(variable);
    let version = if major == "0" { format!("0.{minor}") } else { major };
    format!("-Wl,-soname,libtcpshaker.so.{version}")
}

/// What rustc calls to link.
struct Compiler {
    program: String,
    /// Link arguments of the user's, among which a clang may find what it compiles for.
    arguments: Vec<String>,
}

impl Compiler {
    fn of_this_build() -> Compiler {
        let mut compiler = Compiler { program: "cc".to_owned(), arguments: Vec::new() };
        if let Ok(configured) = env::var("RUSTC_LINKER") {
            compiler.program = configured;
        }
        let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        let mut flags = flags.split('\x1f');
        while let Some(flag) = flags.next() {
            let option = match flag {
                "-C" | "--codegen" => flags.next().unwrap_or_default(),
                _ => flag.strip_prefix("-C").or(flag.strip_prefix("--codegen=")).unwrap_or_default(),
            };
            match option.split_once('=') {
                Some(("linker", program)) => compiler.program = program.to_owned(),
                Some(("link-arg", argument)) => compiler.arguments.push(argument.to_owned()),
                Some(("link-args", arguments)) => compiler.arguments.extend(arguments.split(' ').map(String::from)),
                _ => {}
            }
        }
        compiler
    }

    /// The path of the linker of this name.
    fn finds(&self, name: &str) -> Option<PathBuf> {
        let query = format!("-print-prog-name={name}");
        let output = Command::new(&self.program).args(&self.arguments).arg(query).output().ok()?;
        let said = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        // What the compiler knows of no place for, it looks for where everybody does.
        let path = Path::new(said.trim());
        if path.is_absolute() {
            return path.is_file().then(|| path.to_owned());
        }
        let places = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&places).map(|place| place.join(path)).find(|path| !said.trim().is_empty() && path.is_file())
    }
}

/// Writes a script that links as this linker does, but by this map.
fn write_script(path: &Path, linker: &Path, map: &Path) {
    let script = format!(
        "#!/bin/sh\nfor argument do\n  shift\n  case $argument in\n    --version-script=*) \
         argument=--version-script={} ;;\n  esac\n  set -- \"$@\" \"$argument\"\ndone\nexec {} \"$@\"\n",
        quoted(map),
        quoted(linker)
    );
    fs::write(path, script).expect("OUT_DIR is ours to write to");
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a file of ours");
}

/// A path as one word of the shell's.
fn quoted(path: &Path) -> String {
    let path = path.to_str().expect("cargo's own variables are of Unicode, and so are the names of linkers");
    format!("'{}'", path.replace('\'', "'\\''"))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
