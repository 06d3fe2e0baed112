//! The tool as tests run it, and what they read of its output.

use std::collections::BTreeMap;
use std::process::Command;

use crate::c_programs::command;
use crate::support::namespace::{find_program, skip};

pub const UP: i32 = 0;
pub const SOME_DOWN: i32 = 1;
pub const USAGE: i32 = 2;
pub const NO_VERDICT: i32 = 3;

pub fn tool(arguments: &[&str]) -> Command {
    let mut tool = command("dynamic", "tcp-checker");
    tool.args(arguments);
    tool
}

/// Whether a tool that a test needs is there; if not, the test is skipped, but never in CI.
pub fn has(tool: &str, test: &str) -> bool {
    let found = find_program(tool).is_some();
    if !found {
        skip(test, &format!("there is no {tool} on this machine"));
    }
    found
}

/// The three lines that scripts know from Go's tool, with the time left out.
pub fn closing_lines(output: &str) -> Vec<&str> {
    let from = output.lines().position(|line| line.starts_with("Finished ")).expect(output);
    let mut lines: Vec<&str> = output.lines().skip(from).take(3).collect();
    let (finished, seconds) = lines[0].split_once(" in ").expect(output);
    assert!(seconds.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok()), "{output}");
    lines[0] = finished;
    lines
}

/// The number that stands behind this word in the table of verdicts; 0 if the word has no row.
pub fn verdicts(output: &str, word: &str) -> u64 {
    let rows = output.lines().skip_while(|line| *line != "Verdicts:").take_while(|line| !line.is_empty());
    let mut words = rows.map(str::split_whitespace).filter(|row| row.clone().next() == Some(word));
    words.next().map_or(0, |row| row.clone().nth(1).unwrap().parse().expect(output))
}

/// Reads one flat JSON object, strictly; numbers and words stay text.
pub fn parse(line: &str) -> BTreeMap<String, String> {
    let mut rest = line.strip_prefix('{').and_then(|line| line.strip_suffix('}')).expect(line);
    let mut object = BTreeMap::new();
    loop {
        let key = parse_string(&mut rest).expect(line);
        rest = rest.strip_prefix(':').expect(line);
        let value = if rest.starts_with('"') {
            parse_string(&mut rest).expect(line)
        } else {
            let (word, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            assert!(matches!(word, "true" | "false" | "null") || word.parse::<i64>().is_ok(), "{word:?} in {line}");
            rest = after;
            word.to_owned()
        };
        assert!(object.insert(key, value).is_none(), "a key stands twice: {line}");
        if rest.is_empty() {
            return object;
        }
        rest = rest.strip_prefix(',').expect(line);
    }
}

fn parse_string(rest: &mut &str) -> Option<String> {
    let mut text = String::new();
    let mut letters = rest.strip_prefix('"')?.chars();
    loop {
        match letters.next()? {
            '"' => break,
            '\\' => match letters.next()? {
                letter @ ('"' | '\\') => text.push(letter),
                'u' => {
                    let digits: String = letters.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                _ => return None,
            },
            letter if letter < ' ' => return None,
            letter => text.push(letter),
        }
    }
    *rest = letters.as_str();
    Some(text)
}
