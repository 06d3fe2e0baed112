//! docs/monitors.md: the settings that it names exist, its watches compile, and a monitor goes through the states that
//! it shows.

use std::fmt::Write;
use std::process::Command;

use crate::c::{compiler, header, library_directory, root, succeed};
use crate::page::{Directory, block, blocks};

const PAGE: &str = "monitors.md";

fn page() -> String {
    std::fs::read_to_string(root().join("docs").join(PAGE)).expect("the page")
}

/// The names of a struct's fields.
fn fields(name: &str) -> Vec<String> {
    let code = header::code();
    let (_, body) = code.split_once(&format!("typedef struct {name} {{")).expect("a struct");
    let (body, _) = body.split_once('}').expect("its end");
    let last_word = |line: &str| line.trim().rsplit([' ', '*']).next().unwrap_or_default().to_owned();
    body.split([';', ',']).map(|line| last_word(line.split('[').next().unwrap_or_default())).collect()
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn settings_that_the_page_on_monitors_maps_to_exist() {
    let known = [fields("shaker_watch"), fields("shaker_change"), fields("shaker_watch_info")].concat();
    let (functions, constants) = (header::functions(), header::constants());
    let page = page();
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| `shaker_watch` |")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 2, "{row}");
        for name in quoted(cells[1]) {
            let exists = [&known, &functions, &constants].iter().any(|names| names.iter().any(|known| known == name));
            assert!(exists, "{name} of: {row}");
        }
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
    for name in quoted(&page).filter(|name| name.starts_with("shaker_")) {
        assert!(name == "shaker_watch" || functions.iter().any(|function| function == name), "{name}");
    }
}

/// Has a monitor hear of these verdicts, which are no checks: of those there are none, as the source is not this host's.
const PROGRAM: &str = r#"
static void go(const char *name, shaker_watch watch, const char *verdicts)
{
    shaker_config *config = shaker_config_new();
    shaker_checker *checker;
    shaker_monitor *monitor;
    shaker_watch_info info;
    uint64_t id;

    if (shaker_config_set_source(config, "192.0.2.9") != SHAKER_OK || shaker_checker_new(config, &checker) != SHAKER_OK
        || shaker_monitor_new(checker, NULL, &monitor) != SHAKER_OK
        || shaker_monitor_add(monitor, &watch, 1, &id) != SHAKER_OK)
        exit(1);
    printf("%s", name);
    for (; *verdicts != 0; verdicts++)
        if (*verdicts != ' ' && shaker_monitor_report(monitor, id, *verdicts == '+') == SHAKER_OK
            && shaker_monitor_get(monitor, id, &info, sizeof info) == SHAKER_OK)
            printf(" %c", "?UD"[info.state]);
    puts("");
    shaker_monitor_free(monitor);
    shaker_checker_free(checker);
    shaker_config_free(config);
}
"#;

#[test]
fn watches_like_those_of_others_go_through_the_states_that_the_page_shows() {
    let mut program = String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <tcpshaker.h>\n");
    let (mut calls, mut expected) = (String::new(), String::new());
    for watch in blocks(PAGE).iter().filter(|block| block.kind == "snippet") {
        let steps = block(PAGE, "steps", &watch.name);
        let (verdicts, states) = steps.trim().split_once('\n').expect("verdicts, and the states after them");
        program += &watch.text;
        writeln!(calls, "    go(\"{0}\", {0}(), \"{verdicts}\");", watch.name).unwrap();
        writeln!(expected, "{} {states}", watch.name).unwrap();
    }
    write!(program, "{PROGRAM}\nint main(void)\n{{\n{calls}    return 0;\n}}\n").unwrap();
    let directory = Directory::new("monitors");
    let source = directory.path().join("steps.c");
    std::fs::write(&source, program).unwrap();
    let (library, executable) = (library_directory(), directory.path().join("steps"));
    succeed(compiler("cc", "c11").arg(&source).arg("-o").arg(&executable).arg("-L").arg(library).arg("-ltcpshaker"));
    let finished = succeed(Command::new(&executable).env("LD_LIBRARY_PATH", library));
    assert_eq!(finished.stdout, expected);
    assert_eq!(expected.lines().count(), 6, "HAProxy, Envoy, keepalived, nginx, Kubernetes and Consul");
}
