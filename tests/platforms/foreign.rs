//! Builds the library and C programs for other platforms, and runs them by what stands in for such a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::c_programs::{Finished, dead, finish, finish_within, live, silent};
use crate::support::debians_cargo::{self, has};
use crate::support::targets::{Listener, V6};

/// A whole standard library may have to be compiled, on a slow machine.
const BUILD_TIME: Duration = Duration::from_secs(1800);
/// By this name programs ask for the shared object.
const SONAME: &str = "libtcpshaker.so.0.1";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Its own target directory: another compiler made what lies there.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("platforms")
}

/// Debian's cargo, for another platform.
fn cargo(subcommand: &str, target: &str) -> Command {
    let mut cargo = debians_cargo::command(&target_directory());
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc");
    cargo.arg(subcommand).args(["--locked", "--lib", "--target", target, "-Zbuild-std=std,panic_unwind"]);
    cargo
}

pub fn assert_compiles(target: &str) {
    if !has(target, &[]) {
        return;
    }
    let checked = finish_within(&mut cargo("check", target), "", BUILD_TIME);
    assert!(checked.status.success(), "{}", checked.stderr);
    let warned = checked.stderr.lines().any(|line| line.starts_with("warning"));
    assert!(!warned, "{}", checked.stderr);
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    Static,
    Shared,
}

/// What a program runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// This kernel, with musl for a C library.
    Musl,
    /// This kernel, through qemu's user mode.
    Aarch64,
    /// Wine.
    Windows,
}

impl Machine {
    fn target(self) -> &'static str {
        match self {
            Machine::Musl => "x86_64-unknown-linux-musl",
            Machine::Aarch64 => "aarch64-unknown-linux-gnu",
            Machine::Windows => "x86_64-pc-windows-gnu",
        }
    }

    fn compiler(self) -> &'static str {
        match self {
            Machine::Musl => "musl-gcc",
            Machine::Aarch64 => "aarch64-linux-gnu-gcc",
            Machine::Windows => "x86_64-w64-mingw32-gcc",
        }
    }

    /// What a program is linked to besides the archive: on Linux what tcpshaker.pc says, elsewhere what
    /// `cargo rustc -- --print native-static-libs` says.
    fn native_libraries(self) -> &'static [&'static str] {
        match self {
            Machine::Musl | Machine::Aarch64 => &["-Wl,--eh-frame-hdr", "-lpthread", "-lm", "-ldl"],
            Machine::Windows => &["-lws2_32", "-liphlpapi", "-luserenv", "-lntdll", "-lbcrypt"],
        }
    }

    fn runner(self) -> &'static [&'static str] {
        match self {
            Machine::Musl => &[],
            Machine::Aarch64 => &["qemu-aarch64-static"],
            Machine::Windows => &["wine", "wineserver"],
        }
    }

    /// What tests/platforms/probe.c is told to expect. Qemu 7.2 passes on four bytes of TCP_INFO, so nothing is proven
    /// there, although the ACK is withheld all the same.
    fn handshake(self) -> &'static str {
        match self {
            Machine::Musl => "half-open",
            Machine::Aarch64 => "unproven",
            Machine::Windows => "ordinary",
        }
    }

    /// Runs the example `check` and the probe against a live, a dead and a silent target.
    pub fn tells_targets_apart(self, linkage: Linkage) {
        let programs: Vec<&str> = [self.compiler()].iter().chain(self.runner()).copied().collect();
        if !has(self.target(), &programs) {
            return;
        }
        let directory = scratch(self, linkage);
        self.build_library(linkage, &directory);
        let run = |source: &Path, arguments: &[&str]| {
            let program = self.build_program(source, linkage, &directory);
            let mut finished = finish_within(self.command(&program, &directory).args(arguments), "", BUILD_TIME);
            // Windows ends lines in its own way.
            finished.stdout = finished.stdout.replace("\r\n", "\n");
            println!("{}", finished.stdout);
            finished
        };

        let (listener, up) = live();
        let (_full, mute) = silent();
        let down = dead();
        let checked = run(&root().join("examples-c/check.c"), &[&up, &down, &mute, "500"]);
        assert_eq!(checked.code(), 1, "{checked:?}");
        assert!(checked.has_line(&format!("{up} up, rtt ")), "{checked:?}");
        let proven = checked.stdout.lines().next().is_some_and(|line| line.ends_with(", half-open"));
        assert_eq!(proven, self.handshake() == "half-open", "{checked:?}");
        assert!(checked.has_line(&format!("{down} refused")), "{checked:?}");
        assert!(checked.has_line(&format!("{mute} timed out")), "{checked:?}");

        let v6 = Listener::on(V6, 0);
        let probe = root().join("tests/platforms/probe.c");
        let probed = run(&probe, &[&up, &down, &mute, &v6.address().to_string(), self.handshake()]);
        assert_eq!(probed.code(), 0, "{}{}", probed.stdout, probed.stderr);
        assert!(probed.stdout.ends_with("\n0 wrong\n"), "{probed:?}");
        if self == Machine::Windows {
            listener.assert_reset();
            stop_wine(&directory);
        } else {
            listener.assert_untouched();
        }
    }

    fn build_library(self, linkage: Linkage, directory: &Path) {
        let (kind, file) = match linkage {
            Linkage::Static => ("staticlib", "libtcpshaker.a"),
            Linkage::Shared => ("cdylib", "libtcpshaker.so"),
        };
        let mut cargo = cargo("rustc", self.target());
        if (self, linkage) == (Machine::Musl, Linkage::Shared) {
            // What unwinds is in no shared library of musl's here, so it is taken from gcc's archive.
            let unwinder = target_directory().join("unwinder");
            fs::create_dir_all(&unwinder).expect("a directory of its own");
            fs::write(unwinder.join("libgcc_s.so"), format!("INPUT({}/libgcc_eh.a)\n", gccs_own_archives().display()))
                .expect("a linker script");
            cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", self.compiler());
            let flags = format!("-Ctarget-feature=-crt-static -Clink-arg=-L{}", unwinder.display());
            cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", flags);
        }
        // One object, as in a release: then whatever asks for one of its symbols has them all.
        cargo.args(["--crate-type", kind, "--", "-Ccodegen-units=1"]);
        let built = finish_within(&mut cargo, "", BUILD_TIME);
        assert!(built.status.success(), "{}", built.stderr);
        let library = directory.join(file);
        fs::copy(target_directory().join(self.target()).join("debug").join(file), &library).expect("the library");
        if linkage == Linkage::Shared {
            assert_has_its_name_and_versions(&library);
            fs::copy(&library, directory.join(SONAME)).expect("the library");
        }
        if self == Machine::Windows {
            // Wine 8 has no such library, in which Rust's standard library finds its random numbers.
            let source = root().join("tests/platforms/bcryptprimitives.c");
            let mut compiler = Command::new(self.compiler());
            compiler.arg("-shared").arg(source).arg("-ladvapi32");
            assert_builds(compiler.arg("-o").arg(directory.join("bcryptprimitives.dll")));
        }
    }

    fn build_program(self, source: &Path, linkage: Linkage, directory: &Path) -> PathBuf {
        let name = source.file_stem().expect("a source file");
        // What wine shall run wants the ending.
        let program = directory.join(name).with_extension(if self == Machine::Windows { "exe" } else { "elf" });
        let mut compiler = Command::new(self.compiler());
        compiler.args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]);
        compiler.arg(root().join("include")).arg(source).arg("-o").arg(&program);
        match linkage {
            Linkage::Static => compiler.arg("-static").arg(directory.join("libtcpshaker.a")),
            Linkage::Shared => compiler.arg("-L").arg(directory).arg("-ltcpshaker"),
        };
        if linkage == Linkage::Static {
            compiler.arg("-DSTATIC").args(self.native_libraries());
        }
        assert_builds(&mut compiler);
        program
    }

    fn command(self, program: &Path, directory: &Path) -> Command {
        match self {
            Machine::Musl => {
                let mut command = Command::new(program);
                command.env("LD_LIBRARY_PATH", directory);
                command
            }
            Machine::Aarch64 => {
                let mut command = Command::new("qemu-aarch64-static");
                command.args(["-L", "/usr/aarch64-linux-gnu", "-E"]);
                command.arg(format!("LD_LIBRARY_PATH={}", directory.display())).arg(program);
                command
            }
            Machine::Windows => {
                let mut command = wine("wine", directory);
                command.arg(program);
                command
            }
        }
    }
}

/// An empty directory for one test.
fn scratch(machine: Machine, linkage: Linkage) -> PathBuf {
    let kind = if linkage == Linkage::Static { "static" } else { "shared" };
    let directory = target_directory().join("run").join(format!("{}-{kind}", machine.target()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory of its own");
    directory
}

/// Linkers of all kinds give the shared object its SONAME, and its functions their versions (docs/abi.md).
fn assert_has_its_name_and_versions(library: &Path) {
    let said = |option| finish(Command::new("readelf").args(["--wide", option]).arg(library)).stdout;
    let dynamic = said("--dynamic");
    assert!(dynamic.contains(&format!("Library soname: [{SONAME}]")), "{dynamic}");
    let symbols = said("--dyn-syms");
    let map = fs::read_to_string(root().join("abi/tcpshaker.map")).expect("the map");
    let functions: Vec<&str> = map.lines().filter_map(|line| line.trim().strip_suffix(';')).collect();
    for function in functions.iter().filter(|name| name.starts_with("shaker_")) {
        assert!(symbols.contains(&format!(" {function}@@TCPSHAKER_0.1\n")), "{function}: {symbols}");
    }
}

fn assert_builds(compiler: &mut Command) {
    let built = finish(compiler);
    assert!(built.status.success(), "{compiler:?}: {}", built.stderr);
}

/// Where libgcc_eh.a is, which musl's wrapper of gcc does not look for.
fn gccs_own_archives() -> PathBuf {
    let Finished { stdout, .. } = finish(Command::new("gcc").arg("-print-file-name=libgcc_eh.a"));
    Path::new(stdout.trim()).parent().expect("a path").to_owned()
}

/// A program of wine's, which keeps its registry and its C: drive here and opens no window.
fn wine(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("WINEPREFIX", directory.join("wine")).env("WINEDEBUG", "-all").env_remove("DISPLAY");
    command
}

/// Ends the processes that stand in for Windows' services.
fn stop_wine(directory: &Path) {
    finish(wine("wineserver", directory).arg("--kill"));
}
