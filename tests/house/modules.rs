//! The modules of a source tree, and for each file which others it imports.
//!
//! Read are `use` declarations and paths in code. What is under `#[cfg(test)]` is left out: a test may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, tokens_of};

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
struct Module {
    /// Several where each system has one of its own.
    files: BTreeSet<String>,
    uses: Vec<Use>,
    /// Paths of two words or more.
    mentions: Vec<Mention>,
    /// Every word of its code.
    words: BTreeSet<String>,
    /// What it defines.
    items: BTreeSet<String>,
}

/// A name that a `use` declaration brings into a module; `*` for all that there is.
struct Use {
    name: String,
    is_public: bool,
    mention: Mention,
}

#[derive(Clone)]
struct Mention {
    path: Vec<String>,
    file: String,
    line: usize,
}

#[derive(Default)]
pub struct Modules {
    by_path: BTreeMap<String, Module>,
    /// Where `unsafe` stands outside of tests.
    pub unsafe_at: Vec<(String, usize)>,
}

/// Re-exports of re-exports are followed so far.
const DETOURS: usize = 16;
/// The words that are followed by the name of what they define.
const DEFINING: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod"];

impl Modules {
    /// The modules of the crate whose root is `lib.rs`.
    pub fn of(files: &Files) -> Modules {
        let mut modules = Modules::default();
        modules.read_file(files, "lib.rs", "crate");
        modules
    }

    fn read_file(&mut self, files: &Files, file: &str, module: &str) {
        let Some(source) = files.get(file) else { panic!("{module}: there is no {file}") };
        self.by_path.entry(module.to_owned()).or_default().files.insert(file.to_owned());
        let tokens = tokens_of(source);
        Reader { modules: self, files, file, tokens: &tokens, at: 0 }.read_module(module);
    }

    /// Who imports whom.
    ///
    /// A re-export is a signpost: whoever imports by it has an arrow to where the item lives. The file that has the
    /// signpost has an arrow only if it uses the name itself.
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

fn child(module: &str, name: &str) -> String {
    format!("{module}::{name}")
}

fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("crate", |(parent, _)| parent)
}

struct Reader<'a> {
    modules: &'a mut Modules,
    files: &'a Files,
    file: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn is(&self, text: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|token| token.is(text))
    }

    /// `#[` or `#![`; a raw name such as `r#in` has the sign, too.
    fn is_attribute(&self) -> bool {
        let next = |ahead: usize, sign| self.tokens.get(self.at + ahead).is_some_and(|token| token.is(sign));
        self.is("#") && (next(1, "[") || (next(1, "!") && next(2, "[")))
    }

    fn is_word(&self) -> bool {
        self.tokens.get(self.at).is_some_and(Token::is_word)
    }

    fn take(&mut self) -> Token {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn module(&mut self, path: &str) -> &mut Module {
        self.modules.by_path.entry(path.to_owned()).or_default()
    }

    /// Reads to the end of a module: of the file, or of its braces.
    fn read_module(&mut self, module: &str) {
        let (mut depth, mut attributes, mut is_public) = (0, Vec::new(), false);
        while self.at < self.tokens.len() {
            if self.is_attribute() {
                attributes.extend(self.read_attribute());
                continue;
            }
            if is_for_tests(&attributes) {
                self.skip_item();
            } else if self.is("pub") {
                self.take();
                if self.is("(") {
                    self.skip_group();
                }
                is_public = true;
                continue;
            } else if self.is("use") {
                self.take();
                self.read_use(module, &[], is_public);
            } else if self.is("mod") {
                self.read_mod(module, &attributes);
            } else if self.is_word() {
                self.read_words(module);
            } else {
                let sign = self.take();
                depth += i32::from(sign.is("{")) - i32::from(sign.is("}"));
                if depth < 0 {
                    return;
                }
            }
            attributes.clear();
            is_public = false;
        }
    }

    fn read_attribute(&mut self) -> Vec<Token> {
        let start = self.at;
        while !self.is("[") {
            self.take();
        }
        self.skip_group();
        self.tokens[start..self.at].to_vec()
    }

    /// From an opening bracket to behind the closing one.
    fn skip_group(&mut self) {
        let mut depth = 0;
        loop {
            let sign = self.take();
            depth += i32::from(matches!(sign.text.as_str(), "(" | "[" | "{"));
            depth -= i32::from(matches!(sign.text.as_str(), ")" | "]" | "}"));
            if depth == 0 || self.at == self.tokens.len() {
                return;
            }
        }
    }

    /// To behind the semicolon or the braces that end it.
    fn skip_item(&mut self) {
        while self.at < self.tokens.len() {
            if self.is("{") {
                return self.skip_group();
            }
            if self.is("(") || self.is("[") {
                self.skip_group();
            } else if self.take().is(";") {
                return;
            }
        }
    }

    /// `mod name;` or `mod name { ... }`.
    fn read_mod(&mut self, module: &str, attributes: &[Token]) {
        self.take();
        let name = self.take().text;
        let path = child(module, &name);
        self.module(module).items.insert(name.clone());
        if self.take().is("{") {
            let file = self.file.to_owned();
            self.module(&path).files.insert(file);
            return self.read_module(&path);
        }
        let folder = self.file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let mut named: Vec<String> = Vec::new();
        for (key, value) in attributes.iter().zip(attributes.iter().skip(2)) {
            if key.is("path") {
                named.push(format!("{folder}{}", value.text.trim_start_matches('"')));
            }
        }
        if named.is_empty() {
            let own = ["lib.rs", "mod.rs"].iter().find_map(|root| self.file.strip_suffix(root));
            let own = own.map_or_else(|| format!("{}/", self.file.trim_end_matches(".rs")), str::to_owned);
            let places = [format!("{own}{name}.rs"), format!("{own}{name}/mod.rs")];
            named.extend(places.into_iter().filter(|place| self.files.contains_key(place)));
        }
        assert!(!named.is_empty(), "{}: module {name} has no file", self.file);
        for file in named {
            self.modules.read_file(self.files, &file, &path);
        }
    }

    /// The rest of a `use` declaration or of one of its branches.
    fn read_use(&mut self, module: &str, before: &[String], is_public: bool) {
        let (mut path, line) = (before.to_vec(), self.tokens[self.at].line);
        loop {
            let token = self.take();
            match token.text.as_str() {
                "::" => {}
                "{" => {
                    while !self.is("}") {
                        self.read_use(module, &path, is_public);
                        if self.is(",") {
                            self.take();
                        }
                    }
                    self.take();
                    return;
                }
                "self" if !before.is_empty() => {}
                "*" => return self.add_use(module, "*".to_owned(), path, line, is_public),
                _ => path.push(token.text),
            }
            if self.is("as") {
                self.take();
                let alias = self.take().text;
                return self.add_use(module, alias, path, line, is_public);
            }
            if !self.is("::") && !self.is("{") && self.tokens[self.at - 1].text != "::" {
                let name = path.last().cloned().unwrap_or_default();
                return self.add_use(module, name, path, line, is_public);
            }
        }
    }

    fn add_use(&mut self, module: &str, name: String, path: Vec<String>, line: usize, is_public: bool) {
        let mention = Mention { path, file: self.file.to_owned(), line };
        self.module(module).uses.push(Use { name, is_public, mention });
    }

    /// A word, or a path of several.
    fn read_words(&mut self, module: &str) {
        let first = self.take();
        let mut path = vec![first.text.clone()];
        while self.is("::") && self.tokens.get(self.at + 1).is_some_and(Token::is_word) {
            self.take();
            path.push(self.take().text);
        }
        if path[0] == "unsafe" {
            self.modules.unsafe_at.push((self.file.to_owned(), first.line));
        }
        if DEFINING.contains(&first.text.as_str()) && self.is_word() {
            let name = self.tokens[self.at].text.clone();
            self.module(module).items.insert(name);
        }
        let mention = Mention { path: path.clone(), file: self.file.to_owned(), line: first.line };
        let own = self.module(module);
        own.words.extend(path);
        if mention.path.len() > 1 {
            own.mentions.push(mention);
        }
    }
}

/// `#[cfg(test)]`, `#[cfg(all(test, unix))]` and the like; not `#[cfg(not(test))]`.
fn is_for_tests(attributes: &[Token]) -> bool {
    let words: Vec<&str> = attributes.iter().map(|token| token.text.as_str()).collect();
    let asks = words.windows(2).any(|pair| matches!(pair, ["(" | ",", "test"]));
    words.contains(&"cfg") && asks && !words.windows(3).any(|three| three == ["not", "(", "test"])
}
