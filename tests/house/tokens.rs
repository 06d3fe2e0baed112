//! A Rust source as a list of words and signs, without its comments.

/// A word, a sign, or a text in quotation marks, which begins with one here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Whether it is a name or a keyword.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

struct Scanner {
    characters: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

/// The tokens of a source. Characters in quotation marks and lifetimes are left out, as nobody asks for them.
pub fn tokens_of(source: &str) -> Vec<Token> {
    let mut scanner = Scanner { characters: source.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while scanner.at < scanner.characters.len() {
        scanner.read();
    }
    scanner.tokens
}

impl Scanner {
    fn peek(&self, ahead: usize) -> char {
        self.characters.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Moves on by so many characters.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn put(&mut self, text: String, line: usize) {
        self.tokens.push(Token { text, line });
    }

    fn read(&mut self) {
        let (line, first, second) = (self.line, self.peek(0), self.peek(1));
        if let Some(hashes) = self.text_begins() {
            self.read_text(hashes);
        } else if first == '/' && second == '/' {
            while !matches!(self.peek(0), '\n' | '\0') {
                self.skip(1);
            }
        } else if first == '/' && second == '*' {
            self.skip_block_comment();
        } else if first == '\'' {
            self.skip_character_or_lifetime();
        } else if is_in_word(first) {
            let mut word = String::new();
            while is_in_word(self.peek(0)) {
                word.push(self.peek(0));
                self.skip(1);
            }
            self.put(word, line);
        } else if first == ':' && second == ':' {
            self.skip(2);
            self.put("::".to_owned(), line);
        } else {
            self.skip(1);
            if !first.is_whitespace() {
                self.put(first.to_string(), line);
            }
        }
    }

    /// If a text begins here: with how many hashes, or `None` inside for one with escapes. Skips what comes before it.
    fn text_begins(&mut self) -> Option<Option<usize>> {
        let after_word = self.at > 0 && is_in_word(self.characters[self.at - 1]);
        let letters = (0..2).take_while(|&ahead| matches!(self.peek(ahead), 'b' | 'c' | 'r')).count();
        let is_raw = letters > 0 && self.peek(letters - 1) == 'r';
        let hashes = if is_raw { (letters..).take_while(|&ahead| self.peek(ahead) == '#').count() } else { 0 };
        if self.peek(letters + hashes) != '"' || (after_word && letters > 0) {
            return None;
        }
        self.skip(letters + hashes);
        Some(is_raw.then_some(hashes))
    }

    fn read_text(&mut self, hashes: Option<usize>) {
        let line = self.line;
        let mut text = "\"".to_owned();
        self.skip(1);
        while self.at < self.characters.len() {
            let ends = self.peek(0) == '"' && (1..=hashes.unwrap_or(0)).all(|ahead| self.peek(ahead) == '#');
            if ends {
                self.skip(1 + hashes.unwrap_or(0));
                break;
            }
            let length = if hashes.is_none() && self.peek(0) == '\\' { 2 } else { 1 };
            (0..length).for_each(|ahead| text.push(self.peek(ahead)));
            self.skip(length);
        }
        self.put(text, line);
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.characters.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.skip(1);
                    continue;
                }
            }
            self.skip(2);
            if depth == 0 {
                break;
            }
        }
    }

    fn skip_character_or_lifetime(&mut self) {
        if self.peek(1) == '\\' {
            self.skip(3);
            while !matches!(self.peek(0), '\'' | '\0') {
                self.skip(1);
            }
            self.skip(1);
        } else if self.peek(2) == '\'' {
            self.skip(3);
        } else {
            self.skip(1);
            while is_in_word(self.peek(0)) {
                self.skip(1);
            }
        }
    }
}

fn is_in_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
