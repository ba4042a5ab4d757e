//! Sizes and times as people read them.

use std::time::Duration;

/// `512 B`, `1.5 KiB`, `159.1 MiB`.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// `12 ms`, `3.4 s`, `2 min 52 s`.
pub fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..60_000 => format!("{:.1} s", ms as f64 / 1000.0),
        ms => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_well() {
        for (number, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (166_780_612, "159.1 MiB")] {
            assert_eq!(bytes(number), text);
        }
        for (ms, text) in [(12, "12 ms"), (3400, "3.4 s"), (172_000, "2 min 52 s")] {
            assert_eq!(seconds(Duration::from_millis(ms)), text);
        }
    }
}
