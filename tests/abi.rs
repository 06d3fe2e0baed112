//! What compiled programs rely on: the types and functions of the header, as the compiler lays them out. The dump in
//! abi/ is what has been promised; docs/abi.md says what may change. RENEW_ABI=1 writes the dump anew.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(feature = "forced-handshake")))]

#[macro_use]
mod support;
mod c_programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_programs::{Finished, finish};
use support::namespace::{find_program, skip};

/// abidiff(1): something changed, and something on which compiled programs rely changed.
const CHANGED: i32 = 4;
const INCOMPATIBLE: i32 = 8;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn promised() -> PathBuf {
    root().join("abi/tcpshaker.abi")
}

fn functions() -> Vec<String> {
    let map = fs::read_to_string(root().join("abi/tcpshaker.map")).unwrap();
    let names = map.lines().filter_map(|line| line.trim().strip_suffix(';'));
    names.filter(|name| name.starts_with("shaker_")).map(String::from).collect()
}

/// A shared object with the functions of a header and none of their code, so that its debug information has all their
/// types, and nothing of how the library is made.
fn view(name: &str, header: &str, functions: &[String]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi").join(name);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("tcpshaker.h"), header).unwrap();
    let preprocessed = finish(Command::new("cc").current_dir(&directory).args(["-E", "-P", "tcpshaker.h"])).stdout;
    let bodies: String =
        functions.iter().map(|name| format!("{} {{ __builtin_trap(); }}\n", prototype(&preprocessed, name))).collect();
    fs::write(directory.join("view.c"), format!("#include \"tcpshaker.h\"\n{bodies}")).unwrap();
    let mut compiler = Command::new("cc");
    compiler.current_dir(&directory).args(["-g", "-shared", "-fPIC", "-o", "view.so", "view.c"]);
    let versions = format!("-Wl,--version-script={}", root().join("abi/tcpshaker.map").display());
    let built = finish(compiler.arg(versions));
    assert!(built.status.success(), "{}", built.stderr);
    directory.join("view.so")
}

/// The declaration of a function, without its semicolon.
fn prototype<'a>(preprocessed: &'a str, name: &str) -> &'a str {
    let at = preprocessed.find(&format!("{name}(")).unwrap_or_else(|| panic!("{name} is not in the header"));
    let start = preprocessed[..at].rfind([';', '}']).map_or(0, |end| end + 1);
    let end = at + preprocessed[at..].find(';').expect("the end of a declaration");
    &preprocessed[start..end]
}

fn dump(view: &Path, file: &Path) {
    let mut abidw = Command::new("abidw");
    abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed", "--short-locs"]);
    let dumped = finish(abidw.arg("--out-file").arg(file).arg(view));
    assert!(dumped.status.success(), "{}", dumped.stderr);
}

fn difference(from: &Path, to: &Path) -> Finished {
    finish(Command::new("abidiff").arg(from).arg(to))
}

fn has_tools(test: &str) -> bool {
    let missing = ["cc", "abidw", "abidiff"].into_iter().find(|tool| find_program(tool).is_none());
    if let Some(tool) = missing {
        skip(test, &format!("there is no {tool} on this machine"));
    }
    missing.is_none()
}

fn header() -> String {
    fs::read_to_string(root().join("include/tcpshaker.h")).unwrap()
}

#[test]
fn the_abi_is_the_promised_one() {
    if !has_tools("the_abi_is_the_promised_one") {
        return;
    }
    let now = view("now", &header(), &functions());
    if std::env::var_os("RENEW_ABI").is_some() {
        dump(&now, &promised());
    }
    let difference = difference(&promised(), &now);
    assert_eq!(
        difference.code(),
        0,
        "RENEW_ABI=1 cargo test --test abi, if docs/abi.md allows it: {}",
        difference.stdout
    );
}

#[test]
fn a_changed_struct_a_changed_argument_and_a_lost_function_would_be_found() {
    if !has_tools("a_changed_struct_a_changed_argument_and_a_lost_function_would_be_found") {
        return;
    }
    let changes = [
        ("member", "  uint32_t rtt_us;", "  uint64_t rtt_us;"),
        (
            "argument",
            "shaker_status shaker_cancel(struct shaker_checker *checker, uint64_t",
            "shaker_status shaker_cancel(struct shaker_checker *checker, uint32_t",
        ),
        ("size", "  uint32_t reserved[3];", "  uint32_t reserved[4];"),
    ];
    for (name, was, is) in changes {
        assert!(header().contains(was), "{was} is not in the header");
        let changed = difference(&promised(), &view(name, &header().replace(was, is), &functions()));
        assert_ne!(changed.code() & CHANGED, 0, "{name}: {}", changed.stdout);
    }
    let mut fewer = functions();
    fewer.pop();
    let lost = difference(&promised(), &view("lost", &header(), &fewer));
    assert_ne!(lost.code() & INCOMPATIBLE, 0, "{}", lost.stdout);
}
