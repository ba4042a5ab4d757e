//! `/vtl0/guest.json`: which guest, in which memory, and what then.

use std::{collections::HashMap, fs, io::ErrorKind};

use tinyjson::JsonValue;

pub const PATH: &str = "/vtl0/guest.json";

#[derive(Debug, PartialEq)]
pub struct Config {
    pub guest: Guest,
    /// The guest's physical memory, in order.
    pub memory: Vec<Range>,
    pub after: After,
}

#[derive(Debug, PartialEq)]
pub enum Guest {
    /// Paths of a bzImage and an initramfs, and the kernel's command line.
    Linux { kernel: String, initramfs: String, command_line: String },
    /// The one that is part of this program.
    Test { ends: Ending },
}

impl Guest {
    pub fn name(&self) -> &'static str {
        match self {
            Guest::Linux { .. } => "linux",
            Guest::Test { .. } => "test-guest",
        }
    }
}

/// How the test guest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Reset,
    /// By an exception that it can't handle.
    Crash,
    /// It halts with interrupts off.
    Halt,
}

/// When the guest has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Nothing,
    /// The whole machine restarts.
    Restart,
}

/// Bytes of guest-physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub base: u64,
    pub size: u64,
}

/// `None` if there is no guest.
pub fn read() -> Result<Option<Config>, String> {
    match fs::read_to_string(PATH) {
        Ok(text) => parse(&text).map(Some).map_err(|error| format!("{PATH}: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{PATH}: {error}")),
    }
}

pub fn parse(text: &str) -> Result<Config, String> {
    let json: JsonValue = text.parse().map_err(|error: tinyjson::JsonParseError| error.to_string())?;
    let mut fields = object(json, "the configuration")?;
    let ends = text_of(&mut fields, "ends")?;
    let guest = match text_of(&mut fields, "guest")?.as_deref() {
        Some("linux") => {
            let mut need = |name: &str| text_of(&mut fields, name)?.ok_or(format!("{name}: missing"));
            Guest::Linux {
                kernel: need("kernel")?,
                initramfs: need("initramfs")?,
                command_line: need("command_line")?,
            }
        }
        Some("test-guest") => Guest::Test {
            ends: match ends.as_deref() {
                None | Some("reset") => Ending::Reset,
                Some("crash") => Ending::Crash,
                Some("halt") => Ending::Halt,
                Some(other) => return Err(format!("ends: {other:?} is not one of reset, crash, halt")),
            },
        },
        other => return Err(format!("guest: {other:?} is not one of linux, test-guest")),
    };
    let after = match text_of(&mut fields, "after")?.as_deref() {
        None | Some("nothing") => After::Nothing,
        Some("restart") => After::Restart,
        Some(other) => return Err(format!("after: {other:?} is not one of nothing, restart")),
    };
    let memory = match fields.remove("memory") {
        Some(JsonValue::Array(ranges)) => ranges.into_iter().map(range).collect::<Result<Vec<_>, _>>()?,
        _ => return Err("memory: not a list".to_string()),
    };
    if memory.is_empty() {
        return Err("memory: the guest has none".to_string());
    }
    match fields.into_keys().next() {
        Some(unknown) => Err(format!("{unknown}: unknown")),
        None => Ok(Config { guest, memory, after }),
    }
}

fn object(json: JsonValue, what: &str) -> Result<HashMap<String, JsonValue>, String> {
    match json {
        JsonValue::Object(fields) => Ok(fields),
        _ => Err(format!("{what}: not an object")),
    }
}

fn text_of(fields: &mut HashMap<String, JsonValue>, name: &str) -> Result<Option<String>, String> {
    match fields.remove(name) {
        None => Ok(None),
        Some(JsonValue::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: not a text")),
    }
}

fn range(json: JsonValue) -> Result<Range, String> {
    const PAGE: u64 = 4096;
    let mut fields = object(json, "memory")?;
    let mut number = |name: &str| match fields.remove(name) {
        // Numbers of JSON are exact up to here.
        Some(JsonValue::Number(number)) if (0.0..=9e15).contains(&number) && number.fract() == 0.0 => {
            Ok(number as u64)
        }
        _ => Err(format!("memory: {name} is not a number")),
    };
    let range = Range { base: number("base")?, size: number("size")? };
    if !range.base.is_multiple_of(PAGE) || !range.size.is_multiple_of(PAGE) || range.size == 0 {
        return Err(format!("memory: {:#x}+{:#x} are no whole pages", range.base, range.size));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let text = r#"{"guest":"linux","kernel":"/k","initramfs":"/i","command_line":"a=b","after":"restart",
            "memory":[{"base":65536,"size":4096}]}"#;
        let Config { guest, memory, after } = parse(text).unwrap();
        assert_eq!((memory, after), (vec![Range { base: 65536, size: 4096 }], After::Restart));
        assert_eq!(guest.name(), "linux");
        let text = r#"{"guest":"test-guest","ends":"crash","memory":[{"base":0,"size":4096}]}"#;
        assert_eq!(parse(text).unwrap().guest, Guest::Test { ends: Ending::Crash });
    }

    #[test]
    fn what_is_refused() {
        let check = |text: &str, wanted: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        };
        check("", "");
        check("[]", "not an object");
        check(r#"{"guest":"windows"}"#, "not one of linux");
        check(r#"{"guest":"linux","kernel":1}"#, "kernel: not a text");
        check(r#"{"guest":"linux","kernel":"k"}"#, "initramfs: missing");
        check(r#"{"guest":"test-guest","ends":"well"}"#, "not one of reset");
        check(r#"{"guest":"test-guest"}"#, "memory: not a list");
        check(r#"{"guest":"test-guest","memory":[]}"#, "the guest has none");
        check(r#"{"guest":"test-guest","memory":[{"base":1,"size":4096}]}"#, "no whole pages");
        check(r#"{"guest":"test-guest","memory":[{"base":-1,"size":4096}]}"#, "base is not a number");
        check(r#"{"guest":"test-guest","memory":[{"base":0,"size":4096}],"x":1}"#, "x: unknown");
    }
}
