//! The modules of a source tree, and for each file which others it imports.
//!
//! Read are `use` declarations and paths in code. What is under `#[cfg(test)]` is left out: a test may look at
//! anything.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Reader;
use super::tokens::tokens_of;

/// A file of the tree by its path under src/, and its text.
pub type Files = BTreeMap<String, String>;

/// One file names something that lives in another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub from: String,
    pub to: String,
    pub line: usize,
    /// As it is written.
    pub path: String,
}

#[derive(Default)]
pub struct Module {
    /// Several where each system has one of its own.
    pub files: BTreeSet<String>,
    pub uses: Vec<Use>,
    /// Paths of two words or more.
    pub mentions: Vec<Mention>,
    /// Every word of its code.
    pub words: BTreeSet<String>,
    /// What it defines.
    pub items: BTreeSet<String>,
    /// The methods that it calls, and the line of one call of each.
    pub calls: BTreeMap<String, usize>,
    pub methods: Vec<Methods>,
}

/// An `impl` block that is not of a trait: whose, where, and the functions in it.
pub struct Methods {
    pub of: String,
    pub file: String,
    pub names: Vec<String>,
}

/// A name that a `use` declaration brings into a module; `*` for all that there is.
pub struct Use {
    pub name: String,
    pub is_public: bool,
    pub mention: Mention,
}

#[derive(Clone)]
pub struct Mention {
    pub path: Vec<String>,
    pub file: String,
    pub line: usize,
}

#[derive(Default)]
pub struct Modules {
    pub by_path: BTreeMap<String, Module>,
    /// Where `unsafe` stands outside of tests.
    pub unsafe_at: Vec<(String, usize)>,
}

/// Re-exports of re-exports are followed so far.
const DETOURS: usize = 16;

impl Modules {
    /// The modules of the crate whose root is `lib.rs`.
    pub fn of(files: &Files) -> Modules {
        let mut modules = Modules::default();
        modules.read_file(files, "lib.rs", "crate");
        modules
    }

    pub fn read_file(&mut self, files: &Files, file: &str, module: &str) {
        let Some(source) = files.get(file) else { panic!("{module}: there is no {file}") };
        self.by_path.entry(module.to_owned()).or_default().files.insert(file.to_owned());
        let tokens = tokens_of(source);
        Reader::new(self, files, file, &tokens).read_module(module);
    }

    /// Who imports whom.
    ///
    /// A re-export is no import: whoever uses the re-exported name has an arrow to the file that defines the item. The
    /// file that re-exports it has an arrow only if it uses the name itself.
    pub fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (path, module) in &self.by_path {
            let imports = module.uses.iter().filter(|one| !one.is_public || module.words.contains(&one.name));
            for mention in imports.map(|one| &one.mention).chain(&module.mentions) {
                for to in self.files_of(path, &mention.path, DETOURS) {
                    if to != mention.file {
                        let from = mention.file.clone();
                        arrows.insert(Arrow { from, to, line: mention.line, path: mention.path.join("::") });
                    }
                }
            }
        }
        arrows.extend(self.calls_of_methods_elsewhere());
        arrows
    }

    /// Where methods of a type stand in another file than the type: from the type's file, if it calls one of them.
    fn calls_of_methods_elsewhere(&self) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        for (path, module) in &self.by_path {
            for Methods { of, file, names } in &module.methods {
                let homes = self.files_of(path, &["self".to_owned(), of.clone()], DETOURS);
                let owners = self.by_path.values().filter(|one| one.items.contains(of) && !one.files.contains(file));
                for owner in owners.filter(|one| !one.files.is_disjoint(&homes)) {
                    let called = names.iter().filter_map(|name| owner.calls.get_key_value(name));
                    arrows.extend(called.flat_map(|(name, line)| {
                        let arrow = |from: &String| Arrow {
                            from: from.clone(),
                            to: file.clone(),
                            line: *line,
                            path: name.clone(),
                        };
                        owner.files.iter().map(arrow)
                    }));
                }
            }
        }
        arrows
    }

    /// The files in which lives what a path means in a module; none if it is another crate's.
    fn files_of(&self, module: &str, path: &[String], detours: usize) -> BTreeSet<String> {
        let Some((first, rest)) = path.split_first().filter(|_| detours > 0) else { return BTreeSet::new() };
        match first.as_str() {
            "crate" => self.files_below("crate", rest, detours),
            "self" => self.files_below(module, rest, detours),
            "super" => self.files_below(parent(module), rest, detours),
            _ if self.by_path.contains_key(&child(module, first)) => self.files_below(module, path, detours),
            _ => self.files_by_use(module, first, rest, detours),
        }
    }

    /// The same for a path that begins in a module.
    fn files_below(&self, module: &str, path: &[String], detours: usize) -> BTreeSet<String> {
        let Some(own) = self.by_path.get(module) else { return BTreeSet::new() };
        let Some((first, rest)) = path.split_first() else { return own.files.clone() };
        let below = child(module, first);
        if first == "super" {
            return self.files_below(parent(module), rest, detours);
        }
        if self.by_path.contains_key(&below) {
            return self.files_below(&below, rest, detours);
        }
        let elsewhere = self.files_by_use(module, first, rest, detours);
        if elsewhere.is_empty() { own.files.clone() } else { elsewhere }
    }

    /// The same for a name that a `use` brings into a module.
    fn files_by_use(&self, module: &str, name: &str, rest: &[String], detours: usize) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for Use { name: used, mention, .. } in self.by_path.get(module).into_iter().flat_map(|own| &own.uses) {
            if used == name {
                let path: Vec<String> = mention.path.iter().chain(rest).cloned().collect();
                found.extend(self.files_of(module, &path, detours - 1));
            } else if used == "*" && !self.by_path[module].items.contains(name) {
                let source = self.by_path.values().filter(|one| one.items.contains(name));
                let reached = self.files_of(module, &mention.path, detours - 1);
                found.extend(source.flat_map(|one| &one.files).filter(|file| reached.contains(*file)).cloned());
            }
        }
        found
    }
}

pub fn child(module: &str, name: &str) -> String {
    format!("{module}::{name}")
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("crate", |(parent, _)| parent)
}
