//! What Rust programs are compiled by: the public API of the crate, as rustdoc sees it. abi/rust-api.txt is what has been
//! promised; docs/abi.md says what may change. RENEW_RUST_API=1 writes it anew.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(feature = "forced-handshake")))]

#[macro_use]
mod support;
mod c_programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use c_programs::finish_within;
use support::namespace::skip;

/// The dependencies may have to be compiled first, on a slow machine.
const BUILD_TIME: Duration = Duration::from_secs(900);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What rustdoc says of the crate's public items, as JSON.
fn described() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-api");
    let mut cargo = Command::new("cargo");
    // JSON is not stable yet, so a released rustdoc writes it only if it is told so.
    cargo.current_dir(root()).env("RUSTC_BOOTSTRAP", "1").args(["rustdoc", "--locked", "--lib", "--target-dir"]);
    cargo.arg(&target).args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]);
    let made = finish_within(&mut cargo, "", BUILD_TIME);
    assert!(made.status.success(), "{}", made.stderr);
    target.join("doc/tcpshaker.json")
}

/// A line for each public item. The C API is left out: abi/tcpshaker.abi holds it.
fn listing() -> Result<String, public_api::Error> {
    let api = public_api::Builder::from_rustdoc_json(described()).omit_blanket_impls(true).build()?;
    let lines = api.items().map(|item| format!("{item}\n"));
    Ok(lines.filter(|line| !line.contains("tcpshaker::c_api")).collect())
}

/// The lines that `one` has and `other` lacks.
fn beyond<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    one.lines().filter(|line| !other.lines().any(|of_other| of_other == *line)).collect()
}

mod the_public_api {
    use super::*;

    #[test]
    fn is_what_was_promised() {
        let listing = match listing() {
            Ok(listing) => listing,
            // JSON of another version than that of the Rust which rust-toolchain.toml names.
            Err(error) => return skip("the_public_api", &format!("rustdoc's JSON is not what is expected: {error}")),
        };
        let path = root().join("abi/rust-api.txt");
        if std::env::var_os("RENEW_RUST_API").is_some() {
            fs::write(&path, &listing).unwrap();
        }
        let promised = fs::read_to_string(&path).unwrap();
        assert!(promised.lines().any(|line| line.starts_with("pub fn tcpshaker::Checker::check(")), "{promised}");
        assert!(
            listing == promised,
            "docs/abi.md says whether that may be so, and RENEW_RUST_API=1 accepts it.\ngone: {:#?}\nnew: {:#?}",
            beyond(&promised, &listing),
            beyond(&listing, &promised)
        );
    }
}
