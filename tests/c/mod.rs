//! The C programs of this directory as tests see them: built against the library of this very profile, linked each
//! way, run bare or under a memory checker. A program exits with 0 and prints nothing, or one line of how much it did.
#![allow(dead_code, unused_macros)] // each test binary uses its part

pub mod header;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::c_programs::{Finished, PATIENCE, finish, finish_within};
use crate::support::handshake::{is_at_its_best, not_on_this_path};
use crate::support::namespace::{find_program, skip};

/// How a program is linked to the library, and what watches it run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Linked to libtcpshaker.so.
    Shared,
    /// Linked to libtcpshaker.a.
    Archive,
    /// Linked to libtcpshaker.a, and everything else statically too, the C library included.
    Static,
    /// Linked to nothing: the program loads what it wants itself.
    Unlinked,
    /// Linked to libtcpshaker.so; run under valgrind's memcheck.
    Valgrind,
    /// Linked to nothing; run under valgrind's memcheck.
    UnlinkedValgrind,
    /// Linked to libtcpshaker.so; run under valgrind's memcheck without the search for leaks, since in a forked child
    /// all is lost that the parent's threads held.
    ForkingValgrind,
    /// Linked to libtcpshaker.so, and itself built with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer.
    Sanitized,
}

/// What tcpshaker.pc names.
const NATIVE_LIBRARIES: [&str; 3] = ["-lpthread", "-lm", "-ldl"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory of libtcpshaker.so and libtcpshaker.a, as the profile of this test run makes them.
///
/// Copies of the test's own, so that another build meanwhile does not change them under a running program.
pub fn library_directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        // target/<profile>/deps/<test>
        let built = test.parent().and_then(Path::parent).unwrap();
        let profile = match built.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root()).args(["build", "--lib", "--quiet", "--profile", profile, "--target-dir"]);
        cargo.arg(built.parent().unwrap());
        if cfg!(feature = "forced-handshake") {
            cargo.args(["--features", "forced-handshake"]);
        }
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "cargo build: {}", String::from_utf8_lossy(&output.stderr));
        let directory = scratch();
        for file in ["libtcpshaker.so", "libtcpshaker.a"] {
            replace(&directory.join(file), |path| {
                fs::copy(built.join(file), path).unwrap();
            });
        }
        // By this name programs ask for it.
        replace(&directory.join("libtcpshaker.so.0.1"), |path| {
            std::os::unix::fs::symlink("libtcpshaker.so", path).unwrap();
        });
        directory
    })
}

/// A place for what this test binary builds.
pub fn scratch() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c").join(test.file_name().unwrap());
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Makes a file beside its final place and moves it there: another run of the same test may be using the old one.
fn replace(path: &Path, make: impl FnOnce(&Path)) {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    make(Path::new(&beside));
    fs::rename(&beside, path).unwrap();
}

/// A C compiler with the warnings that every header and program must be free of.
pub fn compiler(program: &str, standard: &str) -> Command {
    let mut compiler = Command::new(program);
    compiler.arg(format!("-std={standard}")).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g"]);
    compiler.arg("-I").arg(root().join("include"));
    compiler
}

#[track_caller]
pub fn succeed(command: &mut Command) -> Finished {
    let finished = finish(command);
    assert!(finished.status.success(), "{command:?}: {}\n{}{}", finished.status, finished.stdout, finished.stderr);
    finished
}

/// Builds tests/c/<program>.c. Returns the executable.
pub fn build(program: &str, flavour: Flavour) -> PathBuf {
    // Tests of one process may run the same program at the same time.
    static BUILT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let library = library_directory();
    let executable = library.join(format!("{program}-{flavour:?}"));
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.contains(&executable) {
        return executable;
    }
    replace(&executable, |path| {
        let mut cc = compiler("cc", "c11");
        cc.arg(root().join(format!("tests/c/{program}.c"))).args(["-pthread", "-o"]).arg(path);
        if cfg!(feature = "forced-handshake") {
            cc.arg("-DFORCED_HANDSHAKE");
        }
        match flavour {
            Flavour::Archive => {
                cc.arg(library.join("libtcpshaker.a")).args(NATIVE_LIBRARIES);
            }
            Flavour::Static => {
                // The linker's warning that getaddrinfo wants the C library's modules at run time is no error.
                cc.arg("-static").arg(library.join("libtcpshaker.a")).args(["-lgcc_eh", "-lm"]);
            }
            Flavour::Unlinked | Flavour::UnlinkedValgrind => {
                cc.arg("-ldl");
            }
            Flavour::Shared | Flavour::Valgrind | Flavour::ForkingValgrind | Flavour::Sanitized => {
                cc.arg("-L")
                    .arg(library)
                    .arg("-Wl,-rpath")
                    .arg(format!("-Wl,{}", library.display()))
                    .arg("-ltcpshaker");
            }
        }
        if flavour == Flavour::Sanitized {
            cc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]);
        }
        succeed(&mut cc);
    });
    built.push(executable.clone());
    executable
}

/// Builds a program, runs it, and sees that it found nothing amiss. `test` is who asks, for what is skipped.
#[track_caller]
pub fn run(test: &str, program: &str, flavour: Flavour, arguments: &[&str]) {
    run_with(test, program, flavour, arguments, &[]);
}

/// The same, with variables of its environment.
#[track_caller]
pub fn run_with(test: &str, program: &str, flavour: Flavour, arguments: &[&str], environment: &[(&str, &str)]) {
    let said = outcome(test, program, flavour, arguments, environment, PATIENCE);
    assert!(said.is_none_or(|said| said.is_empty()), "{program}, {flavour:?}: it prints something");
}

/// The same of a program that tells how much it did, which is printed, and may take so long.
#[track_caller]
pub fn run_telling(test: &str, program: &str, flavour: Flavour, arguments: &[&str], patience: Duration) {
    if let Some(said) = outcome(test, program, flavour, arguments, &[], patience) {
        print!("{program} {}: {said}", arguments.join(" "));
        assert_eq!(said.lines().count(), 1, "{program}, {flavour:?}: {said}");
    }
}

/// What a program says on standard output, if it can be run here and finds nothing amiss.
#[track_caller]
fn outcome(
    test: &str,
    program: &str,
    flavour: Flavour,
    arguments: &[&str],
    environment: &[(&str, &str)],
    patience: Duration,
) -> Option<String> {
    use Flavour::{Archive, Static, UnlinkedValgrind, Valgrind};
    if !is_at_its_best() && matches!(flavour, Archive | Static | Valgrind | UnlinkedValgrind) {
        not_on_this_path(test, "it is the same however a program is linked, and the sanitizers see leaks as well");
        return None;
    }
    let leaks = flavour != Flavour::ForkingValgrind;
    let under_valgrind = matches!(flavour, Valgrind | UnlinkedValgrind) || !leaks;
    if under_valgrind && find_program("valgrind").is_none() {
        skip(test, "there is no valgrind on this machine");
        return None;
    }
    let executable = build(program, flavour);
    let mut command = Command::new(&executable);
    if under_valgrind {
        command = Command::new("valgrind");
        command.args(["-q", "--error-exitcode=9", "--keep-debuginfo=yes", "--fair-sched=try"]);
        command.arg(if leaks { "--leak-check=full" } else { "--leak-check=no" });
        command.args(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]).arg(&executable);
    }
    command.args(arguments).envs(environment.iter().copied());
    // cargo test points it at its own build of the library, which would come before the program's own path.
    command.env_remove("LD_LIBRARY_PATH");
    // A panic would be printed with it, if one were printed at all.
    command.env("RUST_BACKTRACE", "1");
    // Makes the allocator's own count of memory in use exact.
    command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    let sweeps = std::env::var_os("MEMORY_SWEEP").is_some(); // see tests/memory.rs
    let patience = if sweeps { patience.max(Duration::from_secs(3_000)) } else { patience };
    let finished = finish_within(&mut command, "", patience);
    let said = format!("{program}, {flavour:?}: {}\n{}{}", finished.status, finished.stdout, finished.stderr);
    assert!(finished.status.success(), "{said}");
    assert!(finished.stderr.is_empty(), "it prints something: {said}");
    Some(finished.stdout)
}

/// One test for each way to run a program, in a module whose name begins the sentence.
macro_rules! runs {
    ($program:literal $arguments:expr; $($test:ident $flavour:ident),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                let test = concat!(module_path!(), "::", stringify!($test));
                $crate::c::run(test, $program, $crate::c::Flavour::$flavour, &$arguments)
            }
        )+
    };
}
