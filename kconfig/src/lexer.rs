//! Text of Kconfig files → statements, each a line's worth of tokens. Macros are expanded on the way, since they may
//! change what the next line means.

use std::{cell::Cell, sync::Arc};

use crate::{
    graph::FileId,
    host::Probes,
    macros::{At, Flavor, Macros, Stop},
    message::Message,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(Arc<str>),
    Quoted(Arc<str>),
    Keyword(Keyword),
    Or,
    And,
    Not,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Open,
    Close,
    Assign(Flavor),
    /// What stands behind an assignment's operator, to the end of the line.
    Value(String),
}

macro_rules! keywords {
    ($($name:ident $text:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Keyword { $($name,)* }

        impl Keyword {
            fn parse(text: &str) -> Option<Keyword> {
                match text {
                    $($text => Some(Keyword::$name),)*
                    _ => None,
                }
            }
        }
    };
}

keywords! {
    Bool "bool",
    Choice "choice",
    Comment "comment",
    Config "config",
    DefBool "def_bool",
    DefTristate "def_tristate",
    Default "default",
    Depends "depends",
    EndChoice "endchoice",
    EndIf "endif",
    EndMenu "endmenu",
    Help "help",
    Hex "hex",
    If "if",
    Imply "imply",
    Int "int",
    MainMenu "mainmenu",
    Menu "menu",
    MenuConfig "menuconfig",
    Modules "modules",
    On "on",
    Prompt "prompt",
    Range "range",
    Select "select",
    Source "source",
    String "string",
    Transitional "transitional",
    Tristate "tristate",
    Visible "visible",
}

/// A file that is being read.
pub(crate) struct Buffer {
    pub file: FileId,
    pub name: Arc<str>,
    text: String,
    position: usize,
    /// The line at `position`, from 1.
    line: u32,
    /// The end of the line at some earlier position, found once a line.
    line_end: Cell<usize>,
    /// The last statement was a help text: an assignment right behind one isn't recognised.
    after_help: bool,
}

/// One statement.
#[derive(Default)]
pub(crate) struct Statement {
    pub tokens: Vec<Token>,
    /// Where its first token stands.
    pub line: u32,
    /// The file ended before the line did.
    pub cut: bool,
}

/// More tokens than any statement needs.
const TOKEN_LIMIT: usize = 8192;

impl Buffer {
    pub(crate) fn new(file: FileId, name: Arc<str>, bytes: Vec<u8>) -> Buffer {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Buffer { file, name, text, position: 0, line: 1, line_end: Cell::new(0), after_help: false }
    }

    /// The line that is read now.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn rest_of_line(&self) -> &str {
        if self.line_end.get() <= self.position {
            let rest = self.rest();
            self.line_end.set(self.position + rest.find('\n').unwrap_or(rest.len()));
        }
        &self.text[self.position..self.line_end.get()]
    }

    /// Reads the next statement that is not empty into `statement`, which is; at the end of the file it stays so. If
    /// there is an error, it has the tokens before that.
    pub(crate) fn statement(
        &mut self,
        statement: &mut Statement,
        macros: &mut Macros,
        probes: &mut dyn Probes,
        messages: &mut Vec<Message>,
    ) -> Result<(), Message> {
        let after_help = std::mem::take(&mut self.after_help);
        loop {
            let Some(byte) = self.peek() else {
                statement.cut = !statement.tokens.is_empty();
                if statement.cut {
                    messages.push(Message::warning(&self.name, self.line, "no new line at end of file"));
                }
                return Ok(());
            };
            if byte == b'\n' {
                self.position += 1;
                self.line += 1;
                match statement.tokens.is_empty() {
                    true => continue,
                    false => return Ok(()),
                }
            }
            let Some(token) = self.token(byte, macros, probes, messages)? else {
                continue;
            };
            if statement.tokens.is_empty() {
                statement.line = self.line;
            }
            let assigns = matches!(token, Token::Equal | Token::Assign(_));
            statement.tokens.push(token);
            if statement.tokens.len() > TOKEN_LIMIT {
                return Err(Message::error(&self.name, self.line, "the statement is too long"));
            }
            let is_assignment = assigns && !after_help && matches!(statement.tokens[..], [Token::Word(_), _]);
            if is_assignment {
                let rest = self.rest_of_line();
                let (length, value) = (rest.len(), rest.trim_start_matches([' ', '\t']).to_string());
                self.position += length;
                statement.tokens.push(Token::Value(value));
            }
        }
    }

    fn token(
        &mut self,
        byte: u8,
        macros: &mut Macros,
        probes: &mut dyn Probes,
        messages: &mut Vec<Message>,
    ) -> Result<Option<Token>, Message> {
        let rest = self.rest();
        let (length, token) = match byte {
            b'#' => (self.rest_of_line().len(), None),
            b' ' | b'\t' => (1, None),
            b'\\' if rest.starts_with("\\\n") => {
                self.line += 1;
                (2, None)
            }
            b'"' | b'\'' => return self.quoted(byte, macros, probes, messages).map(Some),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'$' => {
                return self.word(macros, probes, messages);
            }
            b'|' if rest.starts_with("||") => (2, Some(Token::Or)),
            b'&' if rest.starts_with("&&") => (2, Some(Token::And)),
            b'!' if rest.starts_with("!=") => (2, Some(Token::Unequal)),
            b'<' if rest.starts_with("<=") => (2, Some(Token::LessEqual)),
            b'>' if rest.starts_with(">=") => (2, Some(Token::GreaterEqual)),
            b':' if rest.starts_with(":=") => (2, Some(Token::Assign(Flavor::Simple))),
            b'+' if rest.starts_with("+=") => (2, Some(Token::Assign(Flavor::Append))),
            b'!' => (1, Some(Token::Not)),
            b'<' => (1, Some(Token::Less)),
            b'>' => (1, Some(Token::Greater)),
            b'=' => (1, Some(Token::Equal)),
            b'(' => (1, Some(Token::Open)),
            b')' => (1, Some(Token::Close)),
            _ => {
                let character = rest.chars().next().unwrap_or_default();
                let text = format!("ignoring unsupported character '{character}'");
                messages.push(Message::warning(&self.name, self.line, text));
                (character.len_utf8(), None)
            }
        };
        self.position += length;
        Ok(token)
    }

    fn word(
        &mut self,
        macros: &mut Macros,
        probes: &mut dyn Probes,
        messages: &mut Vec<Message>,
    ) -> Result<Option<Token>, Message> {
        let rest = self.rest_of_line();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        let length = rest.as_bytes().iter().take_while(|byte| is_part(byte)).count();
        if rest.as_bytes().get(length) != Some(&b'$') {
            let word = &rest[..length];
            let token = Keyword::parse(word).map_or_else(|| Token::Word(Arc::from(word)), Token::Keyword);
            self.position += length;
            return Ok(Some(token));
        }
        let at = At { file: &self.name, line: self.line };
        let expanded = macros.expand_word(rest, at, probes);
        messages.extend(macros.tell(at));
        let (taken, word) = expanded.map_err(|Stop(text)| Message::error(&self.name, self.line, text))?;
        self.position += taken;
        Ok((!word.is_empty()).then(|| Token::Word(Arc::from(word))))
    }

    fn quoted(
        &mut self,
        quote: u8,
        macros: &mut Macros,
        probes: &mut dyn Probes,
        messages: &mut Vec<Message>,
    ) -> Result<Token, Message> {
        self.position += 1;
        let mut text = String::new();
        while let Some(character) = self.rest().chars().next() {
            match character {
                '\n' => {
                    let message = "multi-line strings not supported";
                    messages.push(Message::warning(&self.name, self.line, message));
                    break;
                }
                '"' | '\'' if u32::from(quote) == u32::from(character) => {
                    self.position += 1;
                    break;
                }
                '\\' => {
                    self.position += 1;
                    // A backslash at the end of the line stands for nothing.
                    if let Some(escaped) = self.rest().chars().next().filter(|&c| c != '\n') {
                        text.push(escaped);
                        self.position += escaped.len_utf8();
                    }
                }
                '$' => {
                    self.position += 1;
                    let at = At { file: &self.name, line: self.line };
                    let expanded = macros.expand_dollar(self.rest_of_line(), at, probes);
                    messages.extend(macros.tell(at));
                    let (taken, value) =
                        expanded.map_err(|Stop(text)| Message::error(&self.name, self.line, text))?;
                    text.push_str(&value);
                    self.position += taken;
                }
                other => {
                    text.push(other);
                    self.position += other.len_utf8();
                }
            }
        }
        Ok(Token::Quoted(Arc::from(text)))
    }

    /// The help text that begins on this line: all lines that are indented as far as its first one, and empty ones
    /// between.
    pub(crate) fn help(&mut self) -> String {
        self.after_help = true;
        let mut text = String::new();
        let mut first_indent = 0;
        loop {
            let line = self.rest_of_line();
            let content = line.trim_start_matches([' ', '\t']);
            let indent = line[..line.len() - content.len()]
                .bytes()
                .fold(0, |column: usize, byte| if byte == b'\t' { (column & !7) + 8 } else { column + 1 });
            let at_end = self.position + line.len() == self.text.len();
            if content.is_empty() {
                // An empty line belongs to the text unless what follows is not indented.
                let length = line.len();
                if at_end {
                    self.position += length;
                    return text;
                }
                self.position += length + 1;
                self.line += 1;
                if self.peek().is_none_or(|next| !matches!(next, b' ' | b'\t' | b'\n')) {
                    return text;
                }
                text.push('\n');
                continue;
            }
            if indent < first_indent {
                return text;
            }
            if first_indent == 0 {
                first_indent = indent;
            }
            text.extend(std::iter::repeat_n(' ', indent - first_indent));
            text.push_str(content.trim_end_matches([' ', '\t']));
            self.position += line.len();
            if self.peek().is_none() {
                return text;
            }
            self.position += 1;
            self.line += 1;
            if self.peek().is_none_or(|next| !matches!(next, b' ' | b'\t' | b'\n')) {
                return text;
            }
            text.push('\n');
        }
    }
}
