//! apt's command lines and what its messages mean (with LC_ALL=C). Pure.

/// What `apt-cache policy` says about a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub installed: Option<String>,
    pub candidate: Option<String>,
}

/// Why an apt-get failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A package that no list has; apt's line.
    UnknownPackage(String),
    /// The packages don't go together with what is installed; apt's explanation.
    Unsatisfied(String),
    /// A file that the lists promise is not on the mirror any more.
    NotFetched,
    /// Another apt or dpkg is at work.
    Locked,
    Other,
}

pub fn update_arguments() -> Vec<String> {
    vec!["update".to_owned()]
}

/// `pin`: one package with the version it must get, which may be older than the installed one.
pub fn install_arguments(packages: &[&str], pin: Option<(&str, &str)>) -> Vec<String> {
    let options =
        ["install", "-y", "--no-install-recommends", "--no-remove", "-o", "DPkg::Lock::Timeout=300"];
    let mut arguments: Vec<String> = options.map(str::to_owned).into();
    if pin.is_some() {
        arguments.push("--allow-downgrades".to_owned());
    }
    let pinned = |package: &&&str| pin.is_none_or(|(name, _)| **package != name);
    arguments.extend(packages.iter().filter(pinned).map(|package| (*package).to_owned()));
    arguments.extend(pin.map(|(name, version)| format!("{name}={version}")));
    arguments
}

impl Policy {
    /// None: apt does not know the package.
    pub fn parse(text: &str) -> Option<Policy> {
        let value = |label: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
            Some(line.trim()).filter(|version| *version != "(none)").map(str::to_owned)
        };
        text.contains("Candidate:")
            .then(|| Policy { installed: value("Installed:"), candidate: value("Candidate:") })
    }
}

impl Trouble {
    pub fn of(output: &str) -> Trouble {
        let line_with = |needles: &[&str]| {
            output
                .lines()
                .find(|line| needles.iter().any(|needle| line.contains(needle)))
                .map(|line| line.strip_prefix("E: ").unwrap_or(line).trim().to_owned())
        };
        if let Some(line) =
            line_with(&["Unable to locate package", "has no installation candidate", "was not found"])
        {
            return Trouble::UnknownPackage(line);
        }
        if line_with(&["Could not get lock", "Unable to acquire the dpkg frontend lock", "Unable to lock"])
            .is_some()
        {
            return Trouble::Locked;
        }
        if line_with(&["Failed to fetch", "Unable to fetch some archives"]).is_some() {
            return Trouble::NotFetched;
        }
        let unsatisfied = [
            "unmet dependencies",
            "held broken packages",
            "Packages need to be removed but remove is disabled",
        ];
        if line_with(&unsatisfied).is_some() {
            return Trouble::Unsatisfied(explanation(output));
        }
        Trouble::Other
    }
}

/// apt's own words from the list of conflicts on.
fn explanation(output: &str) -> String {
    let start = output.find("The following packages have unmet dependencies").or_else(|| output.find("E: "));
    let text = &output[start.unwrap_or(0)..];
    text.lines().map(|line| format!("  {}", line.trim_end())).collect::<Vec<_>>().join("\n")
}
