//! What the pages name is there: functions, constants, files, ports.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::c::root;

/// The pages that a reader may come to.
fn pages() -> Vec<(PathBuf, String)> {
    let directories = ["", "docs", "benches", "examples-c", "bindings/go", "bindings/python"];
    let mut found = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 15, "{} pages only", found.len());
    found
}

/// The words of a text that are made of what names are made of.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
}

#[test]
fn names_of_the_api_in_the_pages_are_in_a_header() {
    let headers: Vec<String> = fs::read_dir(root().join("include"))
        .unwrap()
        .map(|header| fs::read_to_string(header.unwrap().path()).unwrap())
        .collect();
    let declared: BTreeSet<&str> = headers.iter().flat_map(|header| words(header)).collect();
    // What a bench's program reads of its environment, and its file.
    let others =
        ["SHAKER_ENGINE", "SHAKER_SYN_INTERVAL", "shaker_loop", "shaker_state", "shaker_many", "shaker_beside"];
    for (page, text) in pages() {
        let names = words(&text).filter(|word| word.starts_with("shaker_") || word.starts_with("SHAKER_"));
        // A name that ends so stands for several: shaker_config_set_...
        let names = names.filter(|name| !name.ends_with('_') && !others.contains(name));
        let unknown: BTreeSet<&str> = names.filter(|name| !declared.contains(name)).collect();
        assert!(unknown.is_empty(), "{} names {unknown:?}, which no header has", page.display());
    }
}

#[test]
fn files_that_the_pages_name_are_there() {
    // Where they are named from the root of the tree; others' sources have such names as well, but not these.
    let ours =
        ["src/", "tests/", "docs/", "examples-c/", "packaging/", "abi/", "benches/", "bindings/", "tools/", ".ci/"];
    let mut count = 0;
    for (page, text) in pages() {
        for quoted in text.split('`').skip(1).step_by(2) {
            let Some(path) = quoted.split_whitespace().next() else { continue };
            let is_a_pattern = path.contains(['*', '<', '{', '…', '$']);
            // Ours are in Rust: it is HAProxy's or the kernel's.
            let is_foreign = path.starts_with("src/") && path.ends_with(".c");
            if !ours.iter().any(|start| path.starts_with(start)) || is_a_pattern || is_foreign {
                continue;
            }
            count += 1;
            assert!(root().join(path).exists(), "{} names {path}, which is not there", page.display());
        }
    }
    assert!(count > 60, "the pages name {count} files only");
}

#[test]
fn a_host_has_as_many_ports_by_default_as_the_pages_say() {
    namespaced!(); // whose settings are the kernel's own
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let mut ends = range.split_whitespace().map(|end| end.parse::<u32>().unwrap());
    let (first, last) = (ends.next().unwrap(), ends.next().unwrap());
    let ports = (last - first + 1).to_string();
    let said = format!("{},{}", &ports[..ports.len() - 3], &ports[ports.len() - 3..]);
    let naming = pages().into_iter().filter(|(_, text)| text.contains(&said)).count();
    assert!(naming >= 4, "{naming} pages say that there are {said} ports");
}

#[test]
fn every_option_of_the_tool_that_who_comes_from_fping_is_told_of_is_one() {
    let page = fs::read_to_string(root().join("docs/migrating.md")).unwrap();
    let options = fs::read_to_string(root().join("tools/tcp-checker/options.c")).unwrap();
    let (_, table) = page.split_once("| fping | tcp-checker |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let words = table.split(['`', ' ', '|']).filter_map(|word| word.strip_prefix("--"));
    let named: Vec<&str> = words.filter(|word| !word.is_empty() && !word.starts_with('-')).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(options.contains(&format!("{{\"{name}\", ")), "--{name}");
    }
}
