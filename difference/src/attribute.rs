//! From a difference to its cause: by what it carries, by its place, by its shape.

use std::{ops::Range, sync::LazyLock};

use regex_lite::Regex;

use crate::{Cause, Part, Side, Sides, walk::Aspect};

/// The cause of one difference, or None where nothing speaks for any.
pub fn cause(aspect: Aspect, place: &[Part], ours: &str, theirs: &str, sides: &Sides) -> Option<Cause> {
    match aspect {
        Aspect::Known(cause) => Some(cause),
        Aspect::FileTime => Some(Cause::FileTime),
        Aspect::HeaderTime => Some(Cause::Clock),
        Aspect::Owner => Some(Cause::Owner),
        Aspect::Identifier => Some(Cause::Random),
        Aspect::FileSystemIdentity => Some(Cause::FileSystemIdentity),
        Aspect::Checksum => Some(Cause::Checksum),
        Aspect::Mode => by_umask(ours, theirs, sides).or(Some(Cause::Umask)),
        Aspect::Text => by_place(place, false)
            .or_else(|| by_value(ours, theirs, sides))
            .or_else(|| by_shape(ours, theirs))
            .or_else(|| by_place(place, true)),
        Aspect::Bytes => by_place(place, false)
            .or_else(|| by_binary_time(ours, theirs, sides))
            .or_else(|| by_place(place, true)),
        Aspect::Presence => by_value(ours, theirs, sides).or_else(|| by_place(place, true)),
    }
}

/// What is known of certain places; `weak` are those where the text should have a say first.
fn by_place(place: &[Part], weak: bool) -> Option<Cause> {
    place.iter().rev().find_map(|part| match part {
        Part::Section(name) if weak => section_cause(name),
        Part::Symbol(name) if !weak => symbol_cause(name),
        Part::ConfigSymbol(name) if weak => config_cause(name),
        _ => None,
    })
}

fn section_cause(name: &str) -> Option<Cause> {
    match name {
        ".note.gnu.build-id" | ".notes" => Some(Cause::BuildId),
        ".gnu_debuglink" => Some(Cause::Checksum),
        ".comment" => Some(Cause::ToolVersion),
        _ => None,
    }
}

/// Variables of a kernel of which it is known where their content comes from.
fn symbol_cause(name: &str) -> Option<Cause> {
    match name {
        "system_certificate_list" | "system_certificate_list_size" | "module_cert_size" => {
            Some(Cause::SigningKey)
        }
        "latent_entropy" | "__randstruct_seed" | "randstruct_seed" => Some(Cause::Random),
        "vdso_image_64" | "vdso64_image" | "raw_data" => Some(Cause::BuildId),
        _ => None,
    }
}

fn config_cause(name: &str) -> Option<Cause> {
    let name = name.strip_prefix("CONFIG_").unwrap_or(name);
    match name {
        "MODULE_SIG_KEY" | "MODULE_SIG_HASH" => Some(Cause::SigningKey),
        "LOCALVERSION" | "LOCALVERSION_AUTO" => Some(Cause::VersionControl),
        "BUILD_SALT" => Some(Cause::BuildId),
        _ if name.ends_with("_VERSION") || name.ends_with("_VERSION_TEXT") => Some(Cause::ToolVersion),
        _ if ["CC_HAS_", "AS_HAS_", "LD_HAS_", "CC_IS_", "AS_IS_", "LD_IS_", "TOOLS_SUPPORT_"]
            .iter()
            .any(|prefix| name.starts_with(prefix)) =>
        {
            Some(Cause::ToolVersion)
        }
        _ => None,
    }
}

type Value = fn(&Side) -> Option<String>;

/// Texts that carry a value by which one of the builds is known.
fn by_value(ours: &str, theirs: &str, sides: &Sides) -> Option<Cause> {
    let (a, b) = (&sides.ours, &sides.theirs);
    let paths = |side: &Side, text: &str| side.paths.iter().any(|path| text.contains(path.as_str()));
    if paths(a, ours) && (paths(b, theirs) || b.paths.is_empty()) || paths(b, theirs) && a.paths.is_empty() {
        return Some(Cause::BuildPath);
    }
    let noise = |side: &Side, text: &str| side.environment.iter().any(|value| text.contains(value.as_str()));
    if noise(a, ours) || noise(b, theirs) {
        return Some(Cause::Environment);
    }
    // The longest values first: a user's name is part of the home folder's.
    let (ours_token, theirs_token) = tokens(ours, theirs);
    let carried: [(Cause, Value); 6] = [
        (Cause::Home, |side| side.home.clone()),
        (Cause::Home, |side| side.real_home.clone()),
        (Cause::HostName, |side| side.host_name.clone()),
        (Cause::User, |side| side.user.clone()),
        (Cause::Locale, |side| side.locale.clone()),
        (Cause::TimeZone, |side| zone_name(side.time_zone.as_deref()?)),
    ];
    for (cause, value) in carried {
        if is_carried(
            value(a),
            value(b),
            |value| value.len() > 2 && ours.contains(value),
            |value| value.len() > 2 && theirs.contains(value),
        ) {
            return Some(cause);
        }
    }
    // One of the builds may have had its place mapped away.
    if paths(b, theirs) && !paths(b, ours) {
        return Some(Cause::BuildPath);
    }
    // Numbers and short names mean something only as whole words.
    let words: [(Cause, Value); 6] = [
        (Cause::Owner, |side| side.uid.map(|uid| uid.to_string())),
        (Cause::Owner, |side| side.gid.map(|gid| gid.to_string())),
        (Cause::Jobs, |side| side.jobs.map(|jobs| jobs.to_string())),
        (Cause::Umask, |side| side.umask.map(|umask| format!("{umask:o}"))),
        (Cause::User, |side| side.user.clone()),
        (Cause::HostName, |side| side.host_name.clone()),
    ];
    words.into_iter().find_map(|(cause, value)| {
        let (a, b) = (value(a)?, value(b)?);
        let is = |token: &str, value: &str| {
            token == value || token.trim_start_matches('0') == value && !value.is_empty()
        };
        (a != b && is(ours_token, &a) && is(theirs_token, &b)).then_some(cause)
    })
}

/// What programs print of a zone: `XYZ` of the POSIX form `XYZ-5:45`. Names of the zone database aren't printed.
fn zone_name(zone: &str) -> Option<String> {
    let end = zone.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(zone.len());
    Some(zone[..end].to_string()).filter(|name| name.len() > 2 && !zone.contains('/'))
}

/// Each side has its own value, or the only known one has.
fn is_carried(
    ours: Option<String>,
    theirs: Option<String>,
    in_ours: impl Fn(&str) -> bool,
    in_theirs: impl Fn(&str) -> bool,
) -> bool {
    match (ours, theirs) {
        (Some(a), Some(b)) => a != b && in_ours(&a) && in_theirs(&b),
        (Some(a), None) => in_ours(&a) && !in_theirs(&a),
        (None, Some(b)) => in_theirs(&b) && !in_ours(&b),
        (None, None) => false,
    }
}

/// The words around the first difference.
fn tokens<'t>(ours: &'t str, theirs: &'t str) -> (&'t str, &'t str) {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let same = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count();
    let start = ours.as_bytes()[..same].iter().rposition(|byte| !is_word(*byte)).map_or(0, |at| at + 1);
    let token = |text: &'t str| {
        let rest = text.get(start..).unwrap_or(text);
        let end = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest)
    };
    (token(ours), token(theirs))
}

/// Dates and times as compilers, shells and standards write them.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    let month = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    let pattern = [
        // date(1), ctime(3): Tue Nov 24 18:06:57 UTC 2026
        format!(r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?{month}[a-z]* +[0-9]{{1,2}},? +(?:[0-9:]{{8}} +(?:[A-Z]{{1,5}} +)?)?[0-9]{{4}}"),
        // RFC 5322: 24 Nov 2026
        format!(r"[0-9]{{1,2}} {month} [0-9]{{4}}"),
        // ISO 8601
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?(?:Z|[+-][0-9:]{4,5})?)?".to_string(),
        r"[0-9]{2}:[0-9]{2}:[0-9]{2}".to_string(),
        // Seconds (or finer) since 1970, from 2001 to 2096.
        r"[1-3][0-9]{9}(?:[0-9]{3}){0,3}(?:\.[0-9]+)?".to_string(),
    ]
    .join("|");
    Regex::new(&pattern).expect("a fixed pattern")
});

static GUID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}").expect("a fixed pattern")
});

/// A suffix that tells a checkout: `-00012-gabcdef123456-dirty`.
static CHECKOUT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:-[0-9]+)?-g[0-9a-f]{7,40}(?:-dirty)?|-dirty|\+$").expect("a fixed pattern")
});

static BUILD_NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"#[0-9]+").expect("a fixed pattern"));

/// The hash in a name that rustc mangled: `17h0123456789abcdefE` (legacy), `Cs1a2b_` (v0), `-0123456789abcdef`.
static RUST_HASH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"17h[0-9a-f]{16}E?|Cs[0-9a-zA-Z]+_|[-.][0-9a-f]{16}\b").expect("a fixed pattern")
});

static COMPILER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:GCC: |gcc \(|clang version |rustc version |GNU ld |GNU assembler |LLVM )")
        .expect("a fixed pattern")
});

/// Name of a Rust symbol without what tells crates apart.
pub fn without_rust_hash(name: &str) -> String {
    RUST_HASH.replace_all(name, "").into_owned()
}

/// Texts that are the same but for something of a well-known shape.
fn by_shape(ours: &str, theirs: &str) -> Option<Cause> {
    let shapes: [(&LazyLock<Regex>, Cause); 5] = [
        (&GUID, Cause::Random),
        (&TIME, Cause::Clock),
        (&RUST_HASH, Cause::RustIdentity),
        (&CHECKOUT, Cause::VersionControl),
        (&BUILD_NUMBER, Cause::BuildNumber),
    ];
    for (shape, cause) in shapes {
        // A suffix may be there on one side only.
        let stand_in = if cause == Cause::VersionControl { "" } else { "\u{0}" };
        if shape.replace_all(ours, stand_in) == shape.replace_all(theirs, stand_in) {
            return Some(cause);
        }
    }
    let has_key =
        |text: &str| text.contains("-----BEGIN ") || text.contains("Build time autogenerated kernel key");
    if has_key(ours) && has_key(theirs) {
        return Some(Cause::SigningKey);
    }
    if COMPILER.is_match(ours) && COMPILER.is_match(theirs) {
        return Some(Cause::ToolVersion);
    }
    // 1.5 and 1,5
    let digits = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    if digits(ours) && ours.replace(',', ".") == theirs.replace(',', ".") {
        return Some(Cause::Locale);
    }
    let mut words = [ours, theirs]
        .map(|text| text.split([' ', ',', ':', ';']).filter(|word| !word.is_empty()).collect::<Vec<_>>());
    let [a, b] = &words;
    if a.len() > 1 && a != b {
        let order = by_order(a, b);
        words.iter_mut().for_each(|words| words.sort_unstable());
        return (words[0] == words[1]).then_some(order);
    }
    None
}

/// The cause of another order of the same names: one list as C sorts, the other as people do, is a locale.
pub fn by_order(ours: &[&str], theirs: &[&str]) -> Cause {
    let is_plain = |list: &[&str]| list.is_sorted();
    let is_folded = |list: &[&str]| list.is_sorted_by_key(|name| fold(name));
    match is_plain(ours) && is_folded(theirs) || is_folded(ours) && is_plain(theirs) {
        true => Cause::Locale,
        false => Cause::Order,
    }
}

/// What a language's collation looks at first: letters and digits without case.
fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Modes (in octal) that differ in just the bits in which the umasks do.
fn by_umask(ours: &str, theirs: &str, sides: &Sides) -> Option<Cause> {
    let (a, b) = (sides.ours.umask?, sides.theirs.umask?);
    let (ours, theirs) = (u32::from_str_radix(ours, 8).ok()?, u32::from_str_radix(theirs, 8).ok()?);
    ((ours ^ theirs) & !(a ^ b) == 0).then_some(Cause::Umask)
}

/// Little-endian seconds since 1970 within both builds, somewhere in the bytes (given as hexadecimal digits).
fn by_binary_time(ours: &str, theirs: &str, sides: &Sides) -> Option<Cause> {
    let (a, b) = (&sides.ours.clock, &sides.theirs.clock);
    if a.is_none() && b.is_none() {
        return None;
    }
    // A clock that isn't known may have shown anything.
    let is_in =
        |clock: &Option<Range<u64>>, time: u64| clock.as_ref().is_none_or(|clock| clock.contains(&time));
    let bytes = |text: &str| -> Option<Vec<u8>> {
        let digits = text.as_bytes().chunks_exact(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let (ours, theirs) = (bytes(ours)?, bytes(theirs)?);
    let at = |bytes: &[u8], place: usize| {
        Some(u64::from(u32::from_le_bytes(bytes.get(place..place + 4)?.try_into().ok()?)))
    };
    (0..ours.len().min(theirs.len()))
        .any(|place| {
            at(&ours, place).is_some_and(|time| is_in(a, time))
                && at(&theirs, place).is_some_and(|time| is_in(b, time))
        })
        .then_some(Cause::Clock)
}
