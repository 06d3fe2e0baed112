//! Reads one file of a source tree into the modules that it holds.

use super::modules::{Files, Mention, Methods, Module, Modules, Use, child};
use super::tokens::Token;

/// The words that are followed by the name of what they define.
const DEFINING: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod"];

pub struct Reader<'a> {
    modules: &'a mut Modules,
    files: &'a Files,
    file: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(modules: &'a mut Modules, files: &'a Files, file: &'a str, tokens: &'a [Token]) -> Reader<'a> {
        Reader { modules, files, file, tokens, at: 0 }
    }
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
    pub fn read_module(&mut self, module: &str) {
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
        let after_dot = self.at > 0 && self.tokens[self.at - 1].is(".");
        let first = self.take();
        if first.is("impl") {
            self.note_methods(module);
        }
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
        if after_dot {
            own.calls.insert(path[0].clone(), first.line);
        }
        own.words.extend(path);
        if mention.path.len() > 1 {
            own.mentions.push(mention);
        }
    }
}

impl Reader<'_> {
    /// Notes an `impl` block, behind whose first word this stands, if it is not of a trait. Reads nothing.
    fn note_methods(&mut self, module: &str) {
        let rest = &self.tokens[self.at..];
        let Some(start) = rest.iter().position(|token| token.is("{")) else { return };
        let header = &rest[..start];
        let mut depth = 0;
        let mut outside = Vec::new();
        for token in header {
            depth += i32::from(token.is("<")) - i32::from(token.is(">"));
            if depth == 0 && token.is_word() {
                outside.push(token.text.clone());
            }
        }
        let Some(of) = outside.last().filter(|_| !outside.iter().any(|word| word == "for" || word == "where")) else {
            return;
        };
        let (mut depth, mut names) = (0, Vec::new());
        for pair in rest[start..].windows(2) {
            depth += i32::from(pair[0].is("{")) - i32::from(pair[0].is("}"));
            if depth == 0 {
                break;
            }
            if depth == 1 && pair[0].is("fn") {
                names.push(pair[1].text.clone());
            }
        }
        let methods = Methods { of: of.clone(), file: self.file.to_owned(), names };
        self.module(module).methods.push(methods);
    }
}

/// `#[cfg(test)]`, `#[cfg(all(test, unix))]` and the like; not `#[cfg(not(test))]`.
fn is_for_tests(attributes: &[Token]) -> bool {
    let words: Vec<&str> = attributes.iter().map(|token| token.text.as_str()).collect();
    let asks = words.windows(2).any(|pair| matches!(pair, ["(" | ",", "test"]));
    words.contains(&"cfg") && asks && !words.windows(3).any(|three| three == ["not", "(", "test"])
}
