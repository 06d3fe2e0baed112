//! docs/tutorial.md and docs/migrating.md: each program is compiled and run as the page says, and prints what it shows.

use std::path::Path;
use std::process::Command;

use crate::c::{compiler, library_directory, root, succeed};
use crate::page::{Block, Directory, blocks};
use crate::support::targets::{FullListener, Listener, V4};

/// What an installation would have: the header, the library under both its names, and what pkg-config asks for.
pub fn prefix(place: &Path) {
    let (include, lib) = (place.join("include"), place.join("lib"));
    std::fs::create_dir_all(lib.join("pkgconfig")).unwrap();
    std::fs::create_dir_all(&include).unwrap();
    std::fs::copy(root().join("include/tcpshaker.h"), include.join("tcpshaker.h")).unwrap();
    for name in ["libtcpshaker.so", "libtcpshaker.so.0.1"] {
        std::os::unix::fs::symlink(library_directory().join("libtcpshaker.so"), lib.join(name)).unwrap();
    }
    let description = format!(
        "Name: tcpshaker\nDescription: half-open checks\nVersion: {}\nCflags: -I{}\nLibs: -L{} -ltcpshaker\n",
        env!("CARGO_PKG_VERSION"),
        include.display(),
        lib.display()
    );
    std::fs::write(lib.join("pkgconfig/tcpshaker.pc"), description).unwrap();
}

/// A command of a reader, in a directory that is also where the library is installed.
pub fn installed(text: &str, place: &Directory) -> Command {
    let lib = place.path().join("lib");
    let mut command = Command::new("sh");
    command.args(["-c", text]).current_dir(place.path()).env("LD_LIBRARY_PATH", &lib);
    command.env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
    command
}

/// The commands of a console block, each with what it printed.
fn commands(console: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in console.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => found.push((command, Vec::new())),
            None => found.last_mut().expect("a command comes first").1.push(line),
        }
    }
    found
}

/// A line without its times, which vary: a number before a unit, unless it is 0.
fn without_times(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for place in 1..words.len() {
        let is_unit = ["ms", "us"].contains(&words[place].trim_end_matches([',', ':', ')']));
        if is_unit && words[place - 1].parse::<f64>().is_ok_and(|number| number != 0.0) {
            words[place - 1] = "N";
        }
    }
    words.join(" ")
}

/// Compiles and runs the programs of a page, which are so many.
fn runs(page: &str, programs_expected: usize) {
    let directory = Directory::new(page.trim_end_matches(".md"));
    let here = directory.path();
    prefix(here);
    let _live = Listener::on(V4, 8080);
    let _silent = FullListener::on(V4, 8081);

    let blocks = blocks(page);
    let (programs, shown): (Vec<&Block>, Vec<&Block>) = blocks.iter().partition(|block| block.kind == "snippet");
    for program in &programs {
        std::fs::write(here.join(&program.name), &program.text).unwrap();
        succeed(compiler("cc", "c11").args(["-pthread", "-fsyntax-only"]).arg(here.join(&program.name)));
    }
    let mut ran = Vec::new();
    for block in &shown {
        for (text, expected) in commands(&block.text) {
            let finished = succeed(&mut installed(text, &directory));
            assert_eq!(finished.stderr, "", "{text}");
            let mut printed: Vec<String> = finished.stdout.lines().map(without_times).collect();
            let mut expected: Vec<String> = expected.into_iter().map(without_times).collect();
            if block.kind == "output in any order" {
                printed.sort();
                expected.sort();
            }
            assert_eq!(printed, expected, "{text}");
            ran.push(text);
        }
    }
    assert!(programs.len() >= programs_expected, "{page}: {programs:?}");
    for program in programs {
        let start = format!("./{}", program.name.trim_end_matches(".c"));
        assert!(ran.iter().any(|text| text.contains(&start)), "{start} is never run");
    }
}

#[test]
fn programs_of_the_tutorial_compile_without_a_warning_and_print_what_it_shows() {
    library_directory(); // built outside, where nothing is cut off
    namespaced!("pkg-config");
    runs("tutorial.md", 12);
}

#[test]
fn programs_before_and_after_a_migration_compile_without_a_warning_and_print_what_the_page_shows() {
    library_directory();
    namespaced!("pkg-config");
    runs("migrating.md", 6);
}
