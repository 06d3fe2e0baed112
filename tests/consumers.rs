//! The library at home elsewhere: installed by make and by cargo-c, and used from there by build tools and by other languages. Each
//! consumer is a script, tests/consumers/NAME/run, which also runs what its README shows.
#![cfg(all(target_os = "linux", not(feature = "forced-handshake")))]

#[macro_use]
mod support;
mod c_programs;
#[path = "support/installed.rs"]
mod installed;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use c_programs::{finish, live};
use installed::{assert_works, at_home, prefix, prefix_of_cargo_c, root};

/// What a program prints.
fn said(program: &str, arguments: &[&str], path: &Path) -> String {
    let output =
        Command::new(program).args(arguments).arg(path).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the tool adds to the files of the library.
const TOOL: [&str; 5] = [
    "bin/tcp-checker",
    "share/bash-completion/completions/tcp-checker",
    "share/fish/vendor_completions.d/tcp-checker.fish",
    "share/man/man1/tcp-checker.1",
    "share/zsh/site-functions/_tcp-checker",
];

/// The installed files, by their paths from the prefix.
fn files(prefix: &Path) -> BTreeSet<String> {
    let found = said("find", &["-L"], prefix);
    let files = found.lines().map(Path::new).filter(|path| path.is_file());
    files.map(|path| path.strip_prefix(prefix).unwrap().display().to_string()).collect()
}

/// What the installed shared object exports, as name@@version.
fn functions_with_versions(prefix: &Path) -> BTreeSet<String> {
    let symbols = said("nm", &["-D", "--defined-only", "--with-symbol-versions"], &prefix.join("lib/libtcpshaker.so"));
    let names = symbols.lines().filter_map(|line| line.split(' ').nth(2));
    names.filter(|name| *name != "TCPSHAKER_0.1").map(String::from).collect()
}

mod installed_are {
    use super::*;

    #[test]
    fn the_libraries_the_headers_and_what_finds_them_and_nothing_else() {
        let Some(prefix) = prefix("installed files") else { return };
        let library = [
            "include/tcpshaker.h",
            "include/tcpshaker.hpp",
            "include/tcpshaker_monitor.hpp",
            "lib/libtcpshaker.a",
            "lib/libtcpshaker.so",
            "lib/libtcpshaker.so.0.1",
            "lib/libtcpshaker.so.0.1.0",
            "lib/pkgconfig/tcpshaker.pc",
            "share/doc/tcpshaker/LICENSE-APACHE",
            "share/doc/tcpshaker/LICENSE-MIT",
            "share/doc/tcpshaker/NOTICES",
            "share/doc/tcpshaker/tcpshaker.cdx.json",
            "share/tcpshaker/cmake/tcpshakerConfig.cmake",
            "share/tcpshaker/cmake/tcpshakerConfigVersion.cmake",
        ];
        assert_eq!(files(prefix), library.into_iter().chain(TOOL).map(String::from).collect());
        for header in ["tcpshaker.h", "tcpshaker.hpp", "tcpshaker_monitor.hpp"] {
            let installed = fs::read(prefix.join("include").join(header)).unwrap();
            assert_eq!(installed, fs::read(root().join("include").join(header)).unwrap(), "{header}");
        }
    }

    #[test]
    fn the_same_files_by_cargo_c() {
        let (Some(prefix), Some(by_cargo_c)) = (prefix("cargo-c"), prefix_of_cargo_c("cargo-c")) else { return };
        let mut of_library = files(prefix);
        of_library.retain(|file| !TOOL.contains(&file.as_str()));
        assert_eq!(files(by_cargo_c), of_library);
        let dynamic = said("readelf", &["-d"], &by_cargo_c.join("lib/libtcpshaker.so"));
        assert!(dynamic.contains("Library soname: [libtcpshaker.so.0.1]"), "{dynamic}");
        assert_eq!(functions_with_versions(by_cargo_c), functions_with_versions(prefix));
    }

    #[test]
    fn flags_for_static_programs_by_cargo_c_and_a_line_of_the_page() {
        let Some(prefix) = prefix_of_cargo_c("static programs by cargo-c") else { return };
        let page = fs::read_to_string(root().join("docs/installing.md")).unwrap();
        let line = page.lines().find(|line| line.starts_with("sed ")).expect("a line that mends tcpshaker.pc");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("by-cargo-c");
        fs::create_dir_all(&directory).unwrap();
        fs::copy(prefix.join("lib/pkgconfig/tcpshaker.pc"), directory.join("tcpshaker.pc")).unwrap();
        let script = format!(
            "cd '{}'; {}; export PKG_CONFIG_PATH=$PWD
            cc -static -o check '{}/examples-c/check.c' $(pkg-config --static --cflags --libs tcpshaker); ./check \"$@\"",
            directory.display(),
            line.replace("/usr/local/lib/pkgconfig/", ""),
            root().display()
        );
        let (_listener, up) = live();
        let run = finish(Command::new("bash").args(["-euc", &script, "bash", &up]));
        assert_eq!(run.code(), 0, "{run:?}");
        assert!(run.has_line(&format!("{up} up")), "{run:?}");
    }

    #[test]
    fn a_shared_object_that_says_which_release_it_is_compatible_with() {
        let Some(prefix) = prefix("SONAME") else { return };
        let dynamic = said("readelf", &["-d"], &prefix.join("lib/libtcpshaker.so"));
        assert!(dynamic.contains("Library soname: [libtcpshaker.so.0.1]"), "{dynamic}");
    }

    #[test]
    fn the_functions_of_the_header_under_their_versions_and_no_other_symbol() {
        let Some(prefix) = prefix("symbols") else { return };
        let exported = functions_with_versions(prefix);
        let map = fs::read_to_string(root().join("abi/tcpshaker.map")).unwrap();
        let named = map.lines().filter_map(|line| line.trim().strip_suffix(';'));
        let names = named.filter(|name| name.starts_with("shaker_")).map(|name| format!("{name}@@TCPSHAKER_0.1"));
        let names: Vec<String> = names.collect();
        assert_eq!(exported, names.iter().cloned().collect());
        let header = fs::read_to_string(root().join("include/tcpshaker.h")).unwrap();
        for name in &names {
            let function = name.split('@').next().unwrap();
            assert!(header.contains(&format!("{function}(")), "{function} is not in the header");
        }
    }
}

mod installed_is {
    use super::*;

    #[test]
    fn no_file_any_more_after_make_uninstall() {
        let Some(prefix) = prefix("uninstall") else { return };
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uninstalled");
        let _ = fs::remove_dir_all(&copy);
        assert!(finish(Command::new("cp").arg("-a").arg(prefix).arg(&copy)).status.success());
        assert!(files(&copy).len() > 10);
        let mut make = Command::new("make");
        at_home(&mut make, &copy);
        let run = finish(make.current_dir(root()).arg("uninstall").arg(format!("PREFIX={}", copy.display())));
        assert_eq!((run.code(), files(&copy)), (0, BTreeSet::new()), "{run:?}");
    }
}

mod it_is_found_by {
    use super::*;

    #[test]
    fn who_does_what_the_readme_says() {
        assert_works("readme");
    }

    #[test]
    fn make() {
        assert_works("make");
    }

    #[test]
    fn meson() {
        assert_works("meson");
    }

    #[test]
    fn cmake() {
        assert_works("cmake");
    }

    #[test]
    fn who_fetches_a_release() {
        assert_works("release");
    }

    #[test]
    fn programs_on_debian() {
        assert_works("debian");
    }
}

mod it_is_used_from {
    use super::*;

    #[test]
    fn cpp() {
        assert_works("cpp");
    }

    #[test]
    fn go() {
        assert_works("go");
    }

    #[test]
    fn luajit() {
        assert_works("luajit");
    }

    #[test]
    fn node() {
        assert_works("node");
    }

    #[test]
    fn python() {
        assert_works("python");
    }

    #[test]
    fn python_installed_from_a_wheel_or_from_source() {
        assert_works("python-packages");
    }

    #[test]
    fn ruby() {
        assert_works("ruby");
    }
}
