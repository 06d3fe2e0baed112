//! What `make install` brings: the program, its manual page, and completions for shells.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::c_programs::{finish, live, make_in, program};
use crate::the_tool::*;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/tcp-checker")
}

/// All long options, as --help lists them.
fn long_options() -> BTreeSet<String> {
    let help = finish(&mut tool(&["--help"])).stdout;
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let options = lines.filter_map(|line| line.split_once("--").map(|(_, rest)| rest));
    let options = options.map(|rest| format!("--{}", rest.split([' ', '=']).next().unwrap()));
    let options: BTreeSet<String> = options.collect();
    assert!(options.len() > 40 && options.contains("--metrics-file"), "{options:?}");
    options
}

#[test]
fn the_program_is_installed_with_its_page_and_completions_and_runs() {
    let place = std::env::temp_dir().join(format!("tcpshaker-{}-installed", std::process::id()));
    // The library of this tree, as an installed one would be named.
    let library = program("dynamic", "tcp-checker");
    let found = finish(Command::new("ldd").env_remove("LD_LIBRARY_PATH").arg(&library)).stdout;
    let library = found.lines().find(|line| line.contains("libtcpshaker")).and_then(|line| line.split(" => ").nth(1));
    let library = Path::new(library.expect(&found).split(' ').next().unwrap()).parent().unwrap().to_owned();
    let run = make_in(
        &sources(),
        &[
            "install",
            "PREFIX=/usr",
            &format!("DESTDIR={}", place.display()),
            &format!("TCPSHAKER_CFLAGS=-I{}/include", env!("CARGO_MANIFEST_DIR")),
            &format!("TCPSHAKER_LIBS=-L{} -ltcpshaker", library.display()),
        ],
    );
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(!run.stdout.contains("cargo"), "a library that is named is not built: {run:?}");
    for file in [
        "share/man/man1/tcp-checker.1",
        "share/bash-completion/completions/tcp-checker",
        "share/zsh/site-functions/_tcp-checker",
        "share/fish/vendor_completions.d/tcp-checker.fish",
    ] {
        assert!(place.join("usr").join(file).exists(), "{file}: {run:?}");
    }
    let (_listener, up) = live();
    let program = place.join("usr/bin/tcp-checker");
    let checked = finish(Command::new(&program).env("LD_LIBRARY_PATH", library).arg(&up));
    assert_eq!(checked.code(), UP, "{checked:?}");
    let paths = finish(Command::new("readelf").arg("-d").arg(&program)).stdout;
    let _ = std::fs::remove_dir_all(&place);
    assert!(!paths.contains("RPATH") && !paths.contains("RUNPATH"), "no path of the build: {paths}");
}

#[test]
fn the_manual_page_is_well_formed_and_has_every_option() {
    let page = sources().join("tcp-checker.1");
    if has("mandoc", "the_manual_page_is_well_formed") {
        let run = finish(Command::new("mandoc").args(["-Tlint", "-W", "style"]).arg(&page));
        // Which other pages are installed is no matter of this one's.
        let faults: Vec<&str> = run.stdout.lines().filter(|line| line.contains("tcp-checker.1:")).collect();
        assert!(faults.is_empty(), "{faults:?}");
    }
    let text = std::fs::read_to_string(&page).unwrap();
    let described: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with(".It Fl"))
        .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with('-')).collect::<Vec<_>>())
        .map(|word| format!("-{word}"))
        .collect();
    assert_eq!(described, long_options());
}

/// Whether a completion has each long option and no other.
#[track_caller]
fn assert_complete(printed: &str) {
    let found: BTreeSet<String> = printed
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| word.split('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(found, long_options(), "{printed}");
}

#[test]
fn bash_completes_options_and_their_values() {
    let script = format!(
        "source {}/completions/tcp-checker.bash
        ask() {{ COMP_WORDS=(tcp-checker \"$@\"); COMP_CWORD=$#; _tcp_checker; printf '%s ' \"${{COMPREPLY[@]}}\"; echo; }}
        complete -p tcp-checker; ask --; ask wat; ask --engine ''; ask --engine = r; ask -I l",
        sources().display()
    );
    let run = finish(Command::new("bash").args(["--norc", "-c", &script]));
    assert_eq!((run.code(), run.stderr.as_str()), (0, ""), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "complete -F _tcp_checker tcp-checker");
    assert_complete(lines[1]);
    assert_eq!(lines[2..], ["watch", "socket raw auto", "raw", "lo"], "{run:?}");
}

#[test]
fn zsh_loads_its_completion_and_has_every_option() {
    if !has("zsh", "zsh_loads_its_completion") {
        return;
    }
    // _arguments prints what it is given, one option a line, without its description.
    let script = format!(
        "fpath=({}/completions $fpath); autoload -Uz compinit; compinit -u -D
        print ${{_comps[tcp-checker]}}
        _arguments() {{ local spec; for spec in \"$@\"; do spec=${{spec#\\(*\\)}}; spec=${{spec#\\*}}; print -r -- ${{spec%%\\[*}}; done; }}
        _tcp-checker",
        sources().display()
    );
    let run = finish(Command::new("zsh").args(["-f", "-c", &script]));
    assert_eq!((run.code(), run.stderr.as_str()), (0, ""), "{run:?}");
    let (name, specs) = run.stdout.split_once('\n').unwrap();
    assert_eq!(name, "_tcp-checker", "{run:?}");
    assert_complete(specs);
}

#[test]
fn fish_completes_options_and_their_values() {
    if !has("fish", "fish_completes_options") {
        return;
    }
    let script = format!(
        "source {}/completions/tcp-checker.fish
        complete -C 'tcp-checker --'; echo; complete -C 'tcp-checker --engine r'; complete -C 'tcp-checker watc'",
        sources().display()
    );
    let run = finish(Command::new("fish").args(["--no-config", "-c", &script]));
    assert_eq!((run.code(), run.stderr.as_str()), (0, ""), "{run:?}");
    let (options, values) = run.stdout.split_once("\n\n").expect(&run.stdout);
    let options: Vec<&str> = options.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_complete(&options.join(" "));
    let values: Vec<&str> = values.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(values, ["raw", "watch"], "{run:?}");
}
