//! Other platforms, as far as one machine can try them: the library compiles for each without a warning, and a C
//! program that is linked to it finds a live target up, a dead one refused and a silent one timed out, wherever there
//! is a way to run it. docs/platforms.md says which way, and what came of it.
//!
//! The standard library of another platform is compiled as well, by Debian's Rust, which brings its source.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(feature = "forced-handshake")))]

#[macro_use]
mod support;
mod c_programs;
#[path = "platforms/foreign.rs"]
mod foreign;

use foreign::{Linkage, Machine, assert_compiles};

mod compiles_without_a_warning {
    use super::*;

    #[test]
    fn for_macos_on_x86_64() {
        assert_compiles("x86_64-apple-darwin");
    }

    #[test]
    fn for_macos_on_aarch64() {
        assert_compiles("aarch64-apple-darwin");
    }

    #[test]
    fn for_freebsd_on_x86_64() {
        assert_compiles("x86_64-unknown-freebsd");
    }

    #[test]
    fn for_android_on_aarch64() {
        assert_compiles("aarch64-linux-android");
    }

    #[test]
    fn for_windows_on_x86_64() {
        assert_compiles("x86_64-pc-windows-gnu");
    }
}

mod live_dead_and_silent_targets_are_found_to_be_so {
    use super::*;

    #[test]
    fn by_a_static_program_on_musl() {
        Machine::Musl.tells_targets_apart(Linkage::Static);
    }

    #[test]
    fn by_a_program_with_the_shared_library_on_musl() {
        Machine::Musl.tells_targets_apart(Linkage::Shared);
    }

    #[test]
    fn by_a_static_program_on_aarch64() {
        Machine::Aarch64.tells_targets_apart(Linkage::Static);
    }

    #[test]
    fn by_a_program_with_the_shared_library_on_aarch64() {
        Machine::Aarch64.tells_targets_apart(Linkage::Shared);
    }

    #[test]
    fn by_a_program_on_windows() {
        Machine::Windows.tells_targets_apart(Linkage::Static);
    }
}
