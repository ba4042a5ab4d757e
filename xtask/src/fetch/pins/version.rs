//! Order of Debian package versions (Debian Policy, 5.6.12; deb-version(7)).

use std::cmp::Ordering;

/// Compares two versions, `[epoch:]upstream[-revision]`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, upstream_a, revision_a), (epoch_b, upstream_b, revision_b)) = (split(a), split(b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(upstream_a, upstream_b))
        .then_with(|| compare_part(revision_a, revision_b))
}

/// The upstream part: `7.3.4` of `1:7.3.4-1~bpo13+1`.
pub fn upstream(version: &str) -> &str {
    split(version).1
}

fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

/// Runs of other characters and of digits in turn, beginning with other characters.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) =
            (take(&mut a, |byte| !byte.is_ascii_digit()), take(&mut b, |byte| !byte.is_ascii_digit()));
        let order = compare_text(text_a, text_b).then_with(|| {
            let (a, b) = (take(&mut a, u8::is_ascii_digit), take(&mut b, u8::is_ascii_digit));
            compare_digits(a, b)
        });
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// `~` comes before the end, the end before letters, letters before everything else.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let differing = (0..a.len().max(b.len())).map(|i| weight(a.get(i)).cmp(&weight(b.get(i))));
    differing.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

/// As numbers of any length.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let significant =
        |digits: &[u8]| digits.iter().skip_while(|digit| **digit == b'0').copied().collect::<Vec<_>>();
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

fn take<'a>(rest: &mut &'a [u8], is: impl Fn(&u8) -> bool) -> &'a [u8] {
    let count = rest.iter().take_while(|byte| is(byte)).count();
    let (taken, left) = rest.split_at(count);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn agrees_with_dpkg() {
        let versions = [
            "1.0",
            "1.0-1",
            "1.0-1~bpo13+1",
            "1.0-1+b1",
            "1.0~rc1-1",
            "1.0~~",
            "1.00",
            "1.010",
            "1.9",
            "1:0.1",
            "0:1.0",
            "1.0a",
            "1.0+",
            "1.0.0",
            "6.12.117-1~deb12u1",
            "6.12.90-1~deb12u2",
            "7.3.4-1",
            "1.0-1-1",
            "1",
            "18446744073709551617",
            "18446744073709551616",
        ];
        for (index, a) in versions.into_iter().enumerate() {
            for b in &versions[index..] {
                assert_eq!(compare(a, b), compare(b, a).reverse(), "{a} {b}");
                let relation = match compare(a, b) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let dpkg = Command::new("dpkg").args(["--compare-versions", a, relation, b]).output();
                let dpkg = dpkg
                    .unwrap_or_else(|error| panic!("cannot run dpkg ({error}); install the package dpkg"));
                assert!(dpkg.status.success(), "{a} {relation} {b}");
            }
        }
    }
}
