//! README.md: short, its programs run, its figures the bench's, its claims of what a check costs so.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::c::{compiler, library_directory, root, succeed};
use crate::c_programs::{Running, command};
use crate::page::{Directory, block};
use crate::support::targets::{Listener, V4};
use crate::tutorial::{installed, prefix};

const README: &str = "../README.md";

fn text(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn readme_is_read_in_two_screens() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 110, "README.md has {lines} lines");
}

#[test]
fn readmes_screen_of_calls_compiles_and_checks() {
    library_directory(); // built outside, where nothing is cut off
    namespaced!("pkg-config");
    let directory = Directory::new("readme-api");
    prefix(directory.path());
    let _live = Listener::on(V4, 8080);
    let calls = block(README, "snippet", "api").replace("\"example.com:443\"", "\"127.0.0.1:8080\"");
    assert!(calls.contains("127.0.0.1:8080"), "{calls}");
    let (include, calls) = calls.split_once('\n').expect("its first line");
    assert_eq!(include, "#include <tcpshaker.h>");
    let program = format!(
        "{include}\n#include <stdio.h>\nint main(void)\n{{\n\
         enum {{ count = 2, capacity = 2 }};\n\
         const shaker_request requests[count] = {{{{.addr = \"127.0.0.1:8080\"}}, {{.addr = \"127.0.0.1:9\"}}}};\n\
         shaker_result results[count] = {{{{0}}}};\n uint64_t ids[count];\n\
         {calls}\n\
         return fd < 0 || n > capacity || ids[0] == 0;\n}}\n"
    );
    fs::write(directory.path().join("api.c"), program).unwrap();
    let mut built =
        installed("cc -Wall -Wextra -Werror -o api api.c $(pkg-config --cflags --libs tcpshaker)", &directory);
    succeed(&mut built);
    let said = succeed(&mut installed("./api", &directory)).stdout;
    assert!(said.starts_with("up, ") && said.ends_with(" us\n"), "{said}");
}

#[test]
fn readmes_monitor_tells_when_its_target_goes_away() {
    library_directory();
    namespaced!("pkg-config");
    let directory = Directory::new("readme-monitor");
    prefix(directory.path());
    let listener = Listener::on(V4, 8080);
    fs::write(directory.path().join("monitor.c"), block(README, "snippet", "monitor.c")).unwrap();
    succeed(compiler("cc", "c11").arg("-fsyntax-only").arg(directory.path().join("monitor.c")));
    succeed(&mut installed("cc -o monitor monitor.c $(pkg-config --cflags --libs tcpshaker)", &directory));
    // A pipe is written to when the buffer is full, unless somebody says otherwise.
    let mut running = Running::start(&mut installed("exec stdbuf -oL ./monitor 127.0.0.1:8080", &directory));
    assert_eq!(running.wait_for_line(&[""]), "127.0.0.1:8080 is up\n");
    drop(listener);
    assert_eq!(running.wait_for_line(&[""]), "127.0.0.1:8080 is down\n");
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().status.code(), None);
}

/// The numbers of a text, as it spells them.
fn numbers(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.'));
    let words = words
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
    words.map(|word| word.trim_end_matches('k').to_owned()).collect()
}

#[test]
fn figures_of_readme_are_those_of_the_bench() {
    let bench = text("benches/README.md");
    let (_, bench) = bench.split_once("\n## Figures of one run\n").expect("its figures");
    let measured = numbers(bench);
    let (readme, speed) = (text("README.md"), text("docs/speed.md"));
    let (_, numbers_of_readme) = readme.split_once("\n## Numbers\n").expect("its figures");
    let (_, sockets) = speed.split_once("**Sockets.** ").expect("its figures");
    for (page, shown) in [
        ("README.md", numbers_of_readme.split("\n## ").next().unwrap()),
        ("docs/speed.md", sockets.split("\n\n").next().unwrap()),
    ] {
        let shown = numbers(shown);
        assert!(shown.len() >= 5, "{page}: {shown:?}");
        let invented: Vec<&String> = shown.difference(&measured).collect();
        assert!(invented.is_empty(), "{page} has {invented:?}, and the figures of benches/README.md have not");
    }
    // The machine, in the same words.
    let machine = "virtual machine with two cores of an Intel Xeon (Sapphire Rapids generation), Linux 6.18";
    for (page, text) in [("README.md", &readme), ("benches/README.md", &text("benches/README.md"))] {
        assert!(text.contains(machine), "{page} does not name the machine as the other one does");
    }
}

#[test]
fn bars_of_the_raw_engine_are_those_that_the_bench_holds_it_against() {
    let sources = ["raw", "crowd", "adversity", "neighbours"].map(|file| text(&format!("benches/speed/{file}.rs")));
    let calls = sources.iter().flat_map(|source| {
        ["AtLeast(", "AtMost(", "at_least("].into_iter().flat_map(|call| source.split(call).skip(1))
    });
    let held = calls.filter_map(|call| call.split(')').next()?.parse::<f64>().ok());
    let held: BTreeSet<String> = held.map(|bar| bar.to_string()).collect();
    let speed = text("docs/speed.md");
    let (_, table) = speed.split_once("| what | bar |\n|---|---|\n").expect("the table");
    let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 6, "{rows:?}");
    for row in rows {
        let bars = numbers(row.trim_end_matches('|').rsplit('|').next().unwrap());
        let bars: BTreeSet<String> = bars.iter().map(|bar| bar.parse::<f64>().unwrap().to_string()).collect();
        assert!(!bars.is_empty() && bars.is_subset(&held), "{row}: the bench knows {held:?}");
    }
}

#[test]
fn what_the_library_needs_and_its_licences_are_as_readme_says() {
    let manifest = text("Cargo.toml");
    let (_, version) = manifest.split_once("\nrust-version = \"").expect("the least version");
    let needs = format!("Rust {}", version.split('"').next().unwrap());
    for page in ["README.md", "docs/installing.md"] {
        assert!(text(page).contains(&needs), "{page} does not say that it needs {needs}");
    }
    assert!(manifest.contains("\nlicense = \"MIT OR Apache-2.0\"\n"));
    assert!(text("README.md").contains("MIT or Apache-2.0, at your option."));
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(root().join(license).is_file(), "{license}");
    }
}

/// How many system calls a program makes that checks this target so many times, one after another.
fn system_calls(target: &str, times: usize) -> usize {
    let directory = Directory::new("system-calls");
    let counts = directory.path().join("counts");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o"]).arg(&counts).arg(command("static", "check").get_program());
    succeed(strace.args(vec![target; times]));
    let counts = fs::read_to_string(&counts).unwrap();
    let total = counts.lines().find(|line| line.ends_with(" total")).unwrap_or_else(|| panic!("no total: {counts}"));
    // "100.00    0.003442           4       812         2 total"
    total.split_whitespace().nth(3).and_then(|calls| calls.parse().ok()).unwrap_or_else(|| panic!("{total}"))
}

#[test]
fn a_check_costs_three_system_calls() {
    command("static", "check"); // built outside, where nothing is cut off
    namespaced!("strace");
    let _listener = Listener::on(V4, 8080);
    let (few, many) = (system_calls("127.0.0.1:8080", 100), system_calls("127.0.0.1:8080", 1100));
    // 20 are those of the output. A check that the machine holds up takes a few more; one of each check's would be 1,000.
    let calls = many - few;
    assert!((3000..3500).contains(&calls), "1,000 checks took {calls} system calls");
}

#[test]
fn examples_are_those_that_their_page_tells_of() {
    let page = text("examples-c/README.md");
    let told = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let told: BTreeSet<String> = told.map(|(name, _)| name.to_owned()).collect();
    let directory = root().join("examples-c");
    let there = ["", "event_loops/"].into_iter().flat_map(|below| {
        let entries = fs::read_dir(directory.join(below)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".c")).map(move |name| format!("{below}{name}"))
    });
    assert_eq!(told, there.collect());
}
