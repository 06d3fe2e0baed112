//! A page of docs/, and the fenced blocks in it that a marker names: `<!-- kind: name -->` on the line before; and a
//! place to try them.

use std::path::{Path, PathBuf};

/// A fenced block behind its marker.
#[derive(Debug)]
pub struct Block {
    pub kind: String,
    pub name: String,
    pub text: String,
}

/// The marked blocks of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let path = crate::c::root().join("docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(marker) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let (kind, name) = marker.split_once(": ").unwrap_or((marker, ""));
        assert!(lines.next().is_some_and(|fence| fence.starts_with("```")), "no block follows {line}");
        let block: Vec<&str> = lines.by_ref().take_while(|&line| line != "```").collect();
        found.push(Block { kind: kind.to_owned(), name: name.to_owned(), text: block.join("\n") + "\n" });
    }
    found
}

/// The one block of this kind and name.
pub fn block(page: &str, kind: &str, name: &str) -> String {
    let mut found: Vec<Block> = blocks(page);
    found.retain(|block| block.kind == kind && block.name == name);
    assert_eq!(found.len(), 1, "{page} has so many blocks `{kind}: {name}`");
    found.remove(0).text
}

/// A directory of this run's own, removed with all that is in it.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Directory {
        let path = crate::c::scratch().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
