//! What the host adds to the command line: text up to a NUL, whose options are all among those that it may add.

use crate::Failure;

/// The options, without spaces around them; empty where the host adds nothing.
pub fn check<'a>(area: &'a [u8], allowed: &str) -> Result<&'a [u8], Failure> {
    let end = area.iter().position(|byte| *byte == 0);
    let text = end.map(|end| &area[..end]).ok_or(Failure::HostOptions("its text has no end"))?;
    if text.iter().any(|byte| !matches!(byte, b' '..=b'~')) {
        return Err(Failure::HostOptions("characters that aren't printable ASCII"));
    }
    // With quotes, one option could look like two, or two like one.
    if text.contains(&b'"') {
        return Err(Failure::HostOptions("quotes"));
    }
    let text = text.trim_ascii();
    let mut start = 0;
    for option in text.split(|byte| *byte == b' ') {
        if !option.is_empty() && !is_allowed(option, allowed) {
            return Err(Failure::HostOption { start, length: option.len() });
        }
        start += option.len() + 1;
    }
    Ok(text)
}

/// Whether an option's name is among the allowed ones. The kernel takes `-` and `_` for the same.
fn is_allowed(option: &[u8], allowed: &str) -> bool {
    let name = option.split(|byte| *byte == b'=').next().unwrap_or(option);
    // What follows is not the kernel's but init's.
    if name == b"--" {
        return false;
    }
    let same = |a: u8, b: u8| a == b || matches!((a, b), (b'-', b'_') | (b'_', b'-'));
    allowed.split_ascii_whitespace().map(str::as_bytes).any(|known| {
        known == b"*" || known.len() == name.len() && known.iter().zip(name).all(|(a, b)| same(*a, *b))
    })
}

/// Puts the built-in command line, a space and the options into `room`, with a NUL. Returns the bytes before it.
pub fn join(built_in: &[u8], options: &[u8], room: &mut [u8]) -> Result<usize, Failure> {
    let space: &[u8] = if options.is_empty() || built_in.is_empty() { b"" } else { b" " };
    let too_long = Failure::CommandLineTooLong { most: room.len().saturating_sub(1) };
    let mut at = 0_usize;
    for part in [built_in, space, options, &[0]] {
        let place = at.checked_add(part.len()).and_then(|end| room.get_mut(at..end)).ok_or(too_long)?;
        place.copy_from_slice(part);
        at += part.len();
    }
    Ok(at - 1)
}
