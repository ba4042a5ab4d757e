//! What is told: a line an event on standard output, which PID 1 forwards to the kernel log. The guest's own console
//! comes line by line behind [`CONSOLE`].

use std::io::Write as _;

use tinyjson::JsonValue;

/// In front of a line of the guest's console.
pub const CONSOLE: &str = "vtl0| ";

/// A JSON object with its fields in the order in which they are given.
pub struct Event(String);

impl Event {
    pub fn new(name: &str) -> Event {
        Event(String::from("{")).text("event", name)
    }

    pub fn text(self, name: &str, value: &str) -> Event {
        self.field(name, &quote(value))
    }

    pub fn number(self, name: &str, value: u64) -> Event {
        self.field(name, &value.to_string())
    }

    /// As text, since the upper bits of 64 are lost in many readers of numbers.
    pub fn hex(self, name: &str, value: u64) -> Event {
        self.field(name, &format!("\"{value:#x}\""))
    }

    /// An object of numbers.
    pub fn numbers(self, name: &str, values: impl IntoIterator<Item = (String, u64)>) -> Event {
        let fields: Vec<String> =
            values.into_iter().map(|(name, value)| format!("{}:{value}", quote(&name))).collect();
        self.field(name, &format!("{{{}}}", fields.join(",")))
    }

    fn field(mut self, name: &str, json: &str) -> Event {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &format!("{}:{json}", quote(name));
        self
    }

    pub fn line(mut self) -> String {
        self.0.push('}');
        self.0
    }

    pub fn emit(self) {
        write(&self.line());
    }
}

pub fn console(line: &str) {
    write(&format!("{CONSOLE}{line}"));
}

/// One write a line, so that lines stay whole. There is nobody to tell that it failed.
fn write(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn quote(text: &str) -> String {
    // A text always has JSON.
    JsonValue::String(text.to_string()).stringify().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json() {
        let numbers = [("io".to_string(), 3)];
        let line =
            Event::new("e\"x").text("a", "b\n").number("n", 7).hex("h", 255).numbers("k", numbers).line();
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["event"], "e\"x");
        assert_eq!(json["a"], "b\n");
        assert_eq!(
            (json["n"].as_u64(), json["h"].as_str(), json["k"]["io"].as_u64()),
            (Some(7), Some("0xff"), Some(3))
        );
        assert!(line.starts_with("{\"event\""));
    }
}
