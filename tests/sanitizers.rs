//! The library and Rust's standard library with the code of a sanitizer in them: threads that do everything at random
//! through the C API read and write nothing that another one writes meanwhile, and no memory that is not theirs.
//!
//! Debian's Rust compiles both, since it brings the standard library's source, and gcc's runtime judges. With
//! `FULL_SIZE=1` the storms take a minute each.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(feature = "forced-handshake")))]

#[macro_use]
mod support;
mod c_programs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use c_programs::finish_within;
use support::debians_cargo::{self, has};
use support::dice::seed;
use support::lists::{PORT, SILENT_PORT, listen_everywhere, silence};
use support::sized::sized;
use support::targets::DEAD_PORT;

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// A whole standard library may have to be compiled, on a slow machine.
const BUILD_TIME: Duration = Duration::from_secs(1800);

/// A sanitizer, as rustc and gcc call it.
#[derive(Clone, Copy)]
struct Sanitizer {
    name: &'static str,
    /// What its runtime is told.
    options: (&'static str, &'static str),
}

const THREAD: Sanitizer = Sanitizer { name: "thread", options: ("TSAN_OPTIONS", "halt_on_error=1:exitcode=66") };
const ADDRESS: Sanitizer = Sanitizer { name: "address", options: ("ASAN_OPTIONS", "detect_leaks=1:exitcode=66") };

impl Sanitizer {
    /// Builds tests/c/storm.c with the library, all of it with this sanitizer's code.
    fn storm(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sanitizers").join(self.name);
        let mut cargo = debians_cargo::command(&directory);
        cargo.env("RUSTFLAGS", format!("-Zsanitizer={} -Copt-level=1", self.name));
        cargo.args(["rustc", "--locked", "--lib", "--target", TARGET, "-Zbuild-std=std,panic_unwind"]);
        let built = finish_within(cargo.args(["--crate-type", "staticlib"]), "", BUILD_TIME);
        assert!(built.status.success(), "{}", built.stderr);
        let program = directory.join(format!("storm-{}", std::process::id()));
        let mut gcc = Command::new("gcc");
        gcc.args(["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-pthread", &format!("-fsanitize={}", self.name), "-I"]);
        gcc.arg(root.join("include")).arg("-o").arg(&program).arg(root.join("tests/c/storm.c"));
        gcc.arg(root.join("tests/c/sanitized_memory.c"));
        gcc.arg(directory.join(TARGET).join("debug/libtcpshaker.a")).args(["-lm", "-ldl"]);
        let linked = finish_within(&mut gcc, "", BUILD_TIME);
        assert!(linked.status.success(), "{}", linked.stderr);
        program
    }

    /// Storms on checkers of each kind, in this network.
    fn blow(self, program: &Path) {
        let _listener = listen_everywhere();
        silence(SILENT_PORT);
        let rounds = sized(3, 100).to_string();
        for engine in ["socket", "raw"] {
            for driven in ["", "1"] {
                // The runtimes want the addresses where they expect them, which the kernel's choice may not leave free.
                let mut command = Command::new("setarch");
                command.args(["x86_64", "-R"]).arg(program).arg(seed("STORM_SEED").to_string()).arg(&rounds);
                command.args([PORT, DEAD_PORT, SILENT_PORT].map(|port| port.to_string()));
                command.env("TCPSHAKER_ENGINE", engine).env("TCPSHAKER_DRIVEN", driven);
                let finished = finish_within(command.env(self.options.0, self.options.1), "", BUILD_TIME);
                let said = format!("{engine}, driven {driven:?}: {}{}", finished.stdout, finished.stderr);
                println!("{said}");
                assert!(finished.status.success(), "{}: {said}", finished.status);
                assert!(finished.has_line(&format!("{rounds} rounds: ")), "{said}");
            }
        }
    }
}

mod storm_with_all_code_under {
    use super::*;

    #[test]
    fn the_sanitizer_of_threads_has_no_race() {
        if !has("the_sanitizer_of_threads_has_no_race", &["gcc", "setarch"]) {
            return;
        }
        let program = THREAD.storm(); // of the inner half too, which finds it built
        namespaced!("nft");
        THREAD.blow(&program);
    }

    #[test]
    fn the_sanitizer_of_addresses_has_no_invalid_access_and_no_leak() {
        if !has("the_sanitizer_of_addresses_has_no_invalid_access_and_no_leak", &["gcc", "setarch"]) {
            return;
        }
        let program = ADDRESS.storm();
        namespaced!("nft");
        ADDRESS.blow(&program);
    }
}
