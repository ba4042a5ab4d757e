//! Kconfig text with mistakes made by chance.

/// A small generator with a seed, so that a sample can be repeated (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.max(1))
    }

    /// Below `limit`, zero if that is.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).expect("below a length")
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// All that can stand in a line.
pub const TOKENS: [&str; 66] = [
    "bool",
    "choice",
    "comment",
    "config",
    "def_bool",
    "def_tristate",
    "default",
    "depends",
    "endchoice",
    "endif",
    "endmenu",
    "help",
    "hex",
    "if",
    "imply",
    "int",
    "menu",
    "menuconfig",
    "modules",
    "on",
    "prompt",
    "range",
    "select",
    "source",
    "string",
    "transitional",
    "tristate",
    "visible",
    "||",
    "&&",
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "!",
    "(",
    ")",
    ":=",
    "+=",
    "A",
    "B",
    "C",
    "X",
    "y",
    "m",
    "n",
    "\"A\"",
    "\"\"",
    "\"unterminated",
    "'A'",
    "7",
    "-1",
    "0x10",
    "\"y\"",
    "$(X)",
    "$(f,a)",
    "$(",
    ")",
    "#",
    "\\",
    "\t",
    "\n",
    "\n\t",
    "@",
];

/// One to four mistakes, in lines or within them.
pub fn mutate(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.split('\n').map(String::from).collect();
    for _ in 0..=random.below(4) {
        let at = random.below(lines.len());
        match random.below(10) {
            0 => _ = lines.remove(at),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            3 => {
                let other = random.pick(&lines).clone();
                lines.insert(at, other);
            }
            _ => lines[at] = mutate_line(random, &lines[at]),
        }
        if lines.is_empty() {
            lines.push(String::new());
        }
    }
    lines.join("\n")
}

fn mutate_line(random: &mut Random, line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(String::from).collect();
    let at = random.below(words.len());
    match random.below(6) {
        0 => _ = words.remove(at),
        1 => words.insert(at, random.pick(&TOKENS).to_string()),
        2 => words[at] = random.pick(&TOKENS).to_string(),
        3 => {
            let other = random.below(words.len());
            words.swap(at, other);
        }
        4 => words.truncate(at),
        _ => {
            let mut characters: Vec<char> = line.chars().collect();
            let place = random.below(characters.len() + 1);
            match random.below(3) {
                0 if place < characters.len() => _ = characters.remove(place),
                _ => characters
                    .insert(place, *random.pick(&['"', '\'', '\\', '(', ')', '$', '#', ' ', '=', 'z', '\t'])),
            }
            return characters.into_iter().collect();
        }
    }
    words.join(" ")
}
