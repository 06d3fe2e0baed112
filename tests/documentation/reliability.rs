//! The table of faults: each test that a row names is there.

use std::fs;

use crate::c::root;

/// Tests by file and name, as a column of the row names them: `` `tests/file.rs`: `name` ``, or only a name, if it is of the
/// same file.
fn named(row: &str) -> Vec<(String, String)> {
    let is_file = |text: &str| text.ends_with(".rs") && text.contains('/');
    let quoted = |column: &str| column.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let columns = row.split(" | ").map(quoted);
    let Some(quoted) = columns.into_iter().find(|quoted| quoted.len() > 1 && is_file(&quoted[0])) else {
        return Vec::new();
    };
    let (mut file, mut tests) = (String::new(), Vec::new());
    for text in quoted {
        if is_file(&text) { file = text } else { tests.push((file.clone(), text)) }
    }
    tests
}

/// Whether the source has a function or a module of this very name, or a macro makes one.
fn has(source: &str, name: &str) -> bool {
    let is_of_a_name = |char: char| char.is_alphanumeric() || char == '_';
    let is_made = |line: &str| {
        let line = line.trim_start();
        let declared = ["pub fn ", "fn ", "mod "].iter().find_map(|kind| line.strip_prefix(kind));
        match declared {
            Some(declared) => declared.strip_prefix(name).is_some_and(|rest| !rest.starts_with(is_of_a_name)),
            None => line.strip_prefix(name).is_some_and(|rest| rest.starts_with(": ")),
        }
    };
    source.lines().any(is_made)
}

#[test]
fn a_name_is_not_there_where_only_a_longer_one_is() {
    let source = "    fn is_up_again() {\nmod of_many {\n    on_sockets: \"socket\",\n";
    for (name, is_there) in [("is_up_again", true), ("is_up", false), ("of_many", true), ("of", false)] {
        assert_eq!(has(source, name), is_there, "{name}");
    }
    assert!(has(source, "on_sockets") && !has(source, "on_socket"));
}

#[test]
fn each_row_names_a_test_that_is_there() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Fault"));
    let (mut count, mut wrong) = (0, Vec::new());
    for row in rows {
        count += 1;
        let tests = named(row);
        if tests.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        for (file, name) in tests {
            let text = fs::read_to_string(root().join(&file)).unwrap_or_default();
            if !has(&text, &name) {
                wrong.push(format!("{file} has no {name}"));
            }
        }
    }
    assert!(count > 40, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
