//! What PID 1 is told to do: the services of `/etc/vtl2-init.json` and the `vtl2_init.…` options of the kernel's
//! command line. Pure parsing; reading the files is the caller's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use tinyjson::{JsonParseError, JsonValue};

use crate::power::Action;

/// Where the configuration lies in the initramfs.
pub const CONFIG_PATH: &str = "/etc/vtl2-init.json";

/// Where other parts of the payload bring services of their own: files named `….json`, of the same form.
pub const CONFIG_FOLDER: &str = "/etc/vtl2-init.d";

/// The whole configuration. Without a file there are no services.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    pub services: Vec<Service>,
    /// Time the processes have to end after SIGTERM, before SIGKILL, in milliseconds.
    pub stop_grace_ms: u32,
}

const DEFAULT_STOP_GRACE_MS: u32 = 3000;

impl Default for Config {
    fn default() -> Self {
        Self { services: Vec::new(), stop_grace_ms: DEFAULT_STOP_GRACE_MS }
    }
}

/// A program to keep running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Prefix of its output in the kernel log; unique.
    pub name: String,
    /// Absolute path of the program, then its arguments.
    pub argv: Vec<String>,
    pub restart: Restart,
    /// Environment besides `PATH`; nothing else is inherited.
    pub environment: BTreeMap<String, String>,
}

/// When an ended service is started again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    Always,
    #[default]
    OnFailure,
    Never,
}

/// Why a configuration is refused: where, and what is wrong there. The machine runs on without services then.
#[derive(Debug)]
pub struct ConfigError {
    at: String,
    problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.problem)
    }
}

impl std::error::Error for ConfigError {}

fn error<T>(at: &str, problem: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError { at: at.to_owned(), problem: problem.into() })
}

/// What several files ask for together, the most important first, and what is wrong with them: path and text of each.
/// One with mistakes counts as if it weren't there. `stop_grace_ms` is the first file's.
pub fn collect(files: &[(String, String)]) -> (Config, Vec<String>) {
    let mut all: Option<Config> = None;
    let mut wrong = Vec::new();
    for (path, text) in files {
        match (parse(text), &mut all) {
            (Err(problem), _) => wrong.push(format!("{path}: {problem}")),
            (Ok(config), None) => all = Some(config),
            (Ok(config), Some(all)) => {
                for service in config.services {
                    match all.services.iter().any(|known| known.name == service.name) {
                        true => wrong.push(format!(
                            "{path}: {}: another file has a service of this name",
                            service.name
                        )),
                        false => all.services.push(service),
                    }
                }
            }
        }
    }
    (all.unwrap_or_default(), wrong)
}

/// Parses and checks the configuration file.
pub fn parse(text: &str) -> Result<Config, ConfigError> {
    let json: JsonValue =
        text.parse().or_else(|problem: JsonParseError| error("JSON", problem.to_string()))?;
    let mut top = Fields::new("the configuration", json)?;
    let listed = top.take("services").map_or(Ok(Vec::new()), |list| array("services", list))?;
    let stop_grace_ms = top
        .take("stop_grace_ms")
        .map_or(Ok(DEFAULT_STOP_GRACE_MS), |value| milliseconds("stop_grace_ms", value))?;
    top.end()?;
    let services =
        listed.into_iter().enumerate().map(|(index, json)| service(&format!("services[{index}]"), json));
    let services = services.collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for service in &services {
        check_service(service)?;
        if !names.insert(&service.name) {
            return error(&service.name, "there are two services of this name");
        }
    }
    Ok(Config { services, stop_grace_ms })
}

fn service(at: &str, json: JsonValue) -> Result<Service, ConfigError> {
    let mut fields = Fields::new(at, json)?;
    let name = string(&format!("{at}.name"), fields.need("name")?)?;
    let argv_at = format!("{at}.argv");
    let argv = array(&argv_at, fields.need("argv")?)?;
    let argv = argv.into_iter().map(|argument| string(&argv_at, argument)).collect::<Result<_, _>>()?;
    let restart = fields
        .take("restart")
        .map_or(Ok(Restart::default()), |value| restart(&format!("{at}.restart"), value))?;
    let environment_at = format!("{at}.environment");
    let environment = match fields.take("environment") {
        None => BTreeMap::new(),
        Some(json) => Fields::new(&environment_at, json)?
            .fields
            .into_iter()
            .map(|(name, value)| Ok((name, string(&environment_at, value)?)))
            .collect::<Result<_, _>>()?,
    };
    fields.end()?;
    Ok(Service { name, argv, restart, environment })
}

fn restart(at: &str, json: JsonValue) -> Result<Restart, ConfigError> {
    match string(at, json)?.as_str() {
        "always" => Ok(Restart::Always),
        "on-failure" => Ok(Restart::OnFailure),
        "never" => Ok(Restart::Never),
        other => error(at, format!("{other:?} is not one of always, on-failure, never")),
    }
}

/// An object of which every field has to be taken.
struct Fields<'a> {
    at: &'a str,
    fields: HashMap<String, JsonValue>,
}

impl<'a> Fields<'a> {
    fn new(at: &'a str, json: JsonValue) -> Result<Self, ConfigError> {
        match json {
            JsonValue::Object(fields) => Ok(Self { at, fields }),
            _ => error(at, "not an object"),
        }
    }

    fn take(&mut self, name: &str) -> Option<JsonValue> {
        self.fields.remove(name)
    }

    fn need(&mut self, name: &str) -> Result<JsonValue, ConfigError> {
        self.take(name).map_or_else(|| error(self.at, format!("{name:?} is missing")), Ok)
    }

    fn end(self) -> Result<(), ConfigError> {
        match self.fields.keys().min() {
            None => Ok(()),
            Some(name) => error(self.at, format!("unknown key {name:?}")),
        }
    }
}

fn array(at: &str, json: JsonValue) -> Result<Vec<JsonValue>, ConfigError> {
    match json {
        JsonValue::Array(items) => Ok(items),
        _ => error(at, "not a list"),
    }
}

fn string(at: &str, json: JsonValue) -> Result<String, ConfigError> {
    match json {
        JsonValue::String(text) => Ok(text),
        _ => error(at, "not a string"),
    }
}

fn milliseconds(at: &str, json: JsonValue) -> Result<u32, ConfigError> {
    let whole = match json {
        // The text of a whole f64 has no point; anything else is no u32 either.
        JsonValue::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    whole.map_or_else(|| error(at, "not a whole number of milliseconds"), Ok)
}

fn check_service(service: &Service) -> Result<(), ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if service.name.is_empty() || !service.name.chars().all(allowed) {
        return error(
            &format!("service {:?}", service.name),
            "a name is letters, digits, '-', '_' and '.', and not empty",
        );
    }
    if !service.argv.first().is_some_and(|program| program.starts_with('/')) {
        return error(&service.name, "argv must begin with an absolute path");
    }
    let bad_name = |name: &String| name.is_empty() || name.contains(['=', '\0']);
    if service.argv.iter().any(|argument| argument.contains('\0'))
        || service.environment.keys().any(bad_name)
        || service.environment.values().any(|value| value.contains('\0'))
    {
        return error(&service.name, "a NUL byte in argv or environment, or '=' in a variable's name");
    }
    Ok(())
}

/// What to do once the ready line is out (`vtl2_init.after=`).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Start the services and supervise them.
    #[default]
    Supervise,
    /// Start no service, reap, wait for a signal.
    Idle,
    /// Start no service, end the machine's run: what boot tests ask for.
    Do(Action),
}

/// Reads `vtl2_init.after=` from the kernel's command line; the last one counts, as with the kernel's own options.
/// `Err` holds the value that has no meaning.
pub fn after(cmdline: &str) -> Result<After, String> {
    let value = cmdline
        .split_ascii_whitespace()
        .take_while(|word| *word != "--")
        .filter_map(|word| word.strip_prefix("vtl2_init.after="))
        .last();
    match value {
        None | Some("supervise") => Ok(After::Supervise),
        Some("idle") => Ok(After::Idle),
        Some("poweroff") => Ok(After::Do(Action::PowerOff)),
        Some("reboot") => Ok(After::Do(Action::Reboot)),
        Some("halt") => Ok(After::Do(Action::Halt)),
        Some(other) => Err(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_add_up() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let service = |name: &str| format!(r#"{{"name": "{name}", "argv": ["/bin/{name}"]}}"#);
        let (config, wrong) = collect(&[
            file("main", r#"{"services": [], "stop_grace_ms": 7}"#),
            file("a", &format!(r#"{{"services": [{}]}}"#, service("a"))),
            file("bad", "{"),
            file("b", &format!(r#"{{"services": [{}, {}]}}"#, service("a"), service("b"))),
        ]);
        let names: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
        assert_eq!((names, config.stop_grace_ms), (vec!["a", "b"], 7));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].starts_with("bad: JSON") && wrong[1].starts_with("b: a: another file"), "{wrong:?}");
        assert_eq!(collect(&[]), (Config::default(), Vec::new()));
    }

    #[test]
    fn good_configuration() {
        let text = r#"{"stop_grace_ms": 500, "services": [{"name": "a", "argv": ["/bin/a", "-x"], "restart": "always"},
                                     {"name": "b", "argv": ["/bin/b"], "environment": {"K": "v"}}]}"#;
        let config = parse(text).expect("good");
        assert_eq!(config.stop_grace_ms, 500);
        assert_eq!(config.services[0].restart, Restart::Always);
        assert_eq!(config.services[1].restart, Restart::OnFailure);
        assert_eq!(config.services[1].environment["K"], "v");
        assert_eq!(parse("{}").expect("empty"), Config::default());
    }

    #[test]
    fn bad_configurations() {
        let check = |text: &str, wanted: &str| {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        };
        check("", "JSON: ");
        check("{} x", "JSON: ");
        check("[]", "the configuration: not an object");
        check(r#"{"service": []}"#, r#"the configuration: unknown key "service""#);
        check(r#"{"services": {}}"#, "services: not a list");
        check(r#"{"services": ["a"]}"#, "services[0]: not an object");
        check(r#"{"stop_grace_ms": -1}"#, "stop_grace_ms: not a whole number");
        check(r#"{"stop_grace_ms": 0.5}"#, "stop_grace_ms: not a whole number");
        check(r#"{"stop_grace_ms": 1e99}"#, "stop_grace_ms: not a whole number");
        check(r#"{"stop_grace_ms": "5"}"#, "stop_grace_ms: not a whole number");
        let check_service =
            |fields: &str, wanted: &str| check(&format!(r#"{{"services": [{{{fields}}}]}}"#), wanted);
        check_service(r#""name": "a""#, r#"services[0]: "argv" is missing"#);
        check_service(r#""argv": ["/a"]"#, r#"services[0]: "name" is missing"#);
        check_service(r#""name": "a", "argv": []"#, "a: argv must begin with an absolute path");
        check_service(r#""name": "a", "argv": ["sh"]"#, "absolute path");
        check_service(r#""name": "a", "argv": "/sh""#, "services[0].argv: not a list");
        check_service(r#""name": "a", "argv": [1]"#, "services[0].argv: not a string");
        check_service(r#""name": "", "argv": ["/a"]"#, "not empty");
        check_service(r#""name": "a b", "argv": ["/a"]"#, r#"service "a b": a name is letters"#);
        check_service(
            r#""name": "a", "argv": ["/a"], "restart": "sometimes""#,
            r#""sometimes" is not one of always"#,
        );
        check_service(r#""name": "a", "argv": ["/a"], "tty": 1"#, r#"services[0]: unknown key "tty""#);
        check_service(r#""name": "a", "argv": ["/a", "\u0000"]"#, "NUL");
        check_service(r#""name": "a", "argv": ["/a"], "environment": {"A=B": ""}"#, "'='");
        check_service(r#""name": "a", "argv": ["/a"], "environment": {"A": 1}"#, "environment: not a string");
        check_service(
            r#""name": "a", "argv": ["/a"]}, {"name": "a", "argv": ["/b"]"#,
            "two services of this name",
        );
    }

    #[test]
    fn after_option() {
        let check = |cmdline: &str, wanted: Result<After, &str>| {
            assert_eq!(after(cmdline), wanted.map_err(str::to_owned), "{cmdline}");
        };
        check("", Ok(After::Supervise));
        check("console=ttyS0 vtl2_init.after=poweroff quiet\n", Ok(After::Do(Action::PowerOff)));
        check("vtl2_init.after=reboot", Ok(After::Do(Action::Reboot)));
        check("vtl2_init.after=halt", Ok(After::Do(Action::Halt)));
        check("vtl2_init.after=idle", Ok(After::Idle));
        check("vtl2_init.after=poweroff vtl2_init.after=supervise", Ok(After::Supervise));
        check("quiet -- vtl2_init.after=poweroff", Ok(After::Supervise));
        check("xvtl2_init.after=poweroff", Ok(After::Supervise));
        check("vtl2_init.after=later", Err("later"));
    }
}
