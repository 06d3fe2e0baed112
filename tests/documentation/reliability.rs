//! The table of faults: each test that a row names is there.

use std::fs;

use crate::c::root;

/// Tests by file and name, as the rows name them: `` `tests/file.rs`: `name` ``.
fn named(row: &str) -> Vec<(String, String)> {
    let quoted: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
    let is_file = |text: &str| text.ends_with(".rs") && text.contains('/');
    let pairs = quoted.windows(2).filter(|pair| is_file(pair[0]) && !is_file(pair[1]));
    pairs.map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
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
            let is_there = ["fn ", "mod "].iter().any(|kind| text.contains(&format!("{kind}{name}")))
                || text.contains(&format!("    {name}: "));
            if !is_there {
                wrong.push(format!("{file} has no {name}"));
            }
        }
    }
    assert!(count > 40, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
