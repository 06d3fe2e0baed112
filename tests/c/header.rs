//! include/tcpshaker.h as text: what it declares.

use std::path::PathBuf;

pub fn path() -> PathBuf {
    super::root().join("include/tcpshaker.h")
}

/// The header without its comments, in which its functions are named too.
pub fn code() -> String {
    let text = std::fs::read_to_string(path()).unwrap();
    let (_, text) = text.split_once("*/").expect("the header begins with a comment");
    text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// The functions that it declares, sorted.
pub fn functions() -> Vec<String> {
    let code = code();
    let mut names: Vec<String> = words(&code).filter(|(_, rest)| rest.starts_with('(')).map(|(name, _)| name).collect();
    names.sort();
    names
}

/// The macros and enumerators that stand for a number, sorted.
pub fn constants() -> Vec<String> {
    let code = code();
    let mut names: Vec<String> = Vec::new();
    for line in code.lines().map(str::trim) {
        let name = match (line.strip_prefix("#define "), line.split_once(" = ")) {
            (Some(define), _) => define.split_once(' ').map(|(name, _)| name),
            (None, Some((name, value))) if value.ends_with(',') => Some(name),
            _ => None,
        };
        names.extend(name.filter(|name| name.starts_with("SHAKER_")).map(str::to_owned));
    }
    names.sort();
    names
}

/// Each name of the library in the text, and what follows it.
fn words(text: &str) -> impl Iterator<Item = (String, &str)> {
    text.match_indices("shaker_").filter_map(|(at, _)| {
        let inner = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = text[at..].find(|c: char| !c.is_alphanumeric() && c != '_')?;
        (!inner).then(|| (text[at..at + length].to_owned(), &text[at + length..]))
    })
}

/// The arguments of each mention of `function` with parentheses after it: parameters, or what a call passes.
pub fn arguments<'a>(text: &'a str, function: &str) -> Vec<Vec<&'a str>> {
    let mut calls = Vec::new();
    for (at, _) in text.match_indices(&format!("{function}(")) {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let inside = &text[at + function.len() + 1..];
        let (mut depth, mut start, mut found) = (0, 0, Vec::new());
        for (place, character) in inside.char_indices() {
            match character {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ',' | ')' if depth == 0 => {
                    found.push(inside[start..place].trim());
                    start = place + 1;
                }
                _ => {}
            }
            if character == ')' && start == place + 1 {
                break;
            }
        }
        calls.push(found);
    }
    calls
}
