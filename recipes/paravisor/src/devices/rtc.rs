//! The clock of a PC (MC146818 data sheet), as far as a kernel asks it for the time: binary-coded decimals, 24 hours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const INDEX: u16 = 0x70;
pub const DATA: u16 = 0x71;

#[derive(Default)]
pub struct Rtc {
    index: u8,
}

impl Rtc {
    /// The upper bit belongs to another device.
    pub fn select(&mut self, index: u8) {
        self.index = index & 0x7f;
    }

    pub fn read(&self) -> u8 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        register(self.index, since.as_secs())
    }
}

/// A register at so many seconds after 1970.
fn register(index: u8, seconds: u64) -> u8 {
    let decimal = |value: u64| (((value / 10 % 10) << 4) | (value % 10)) as u8;
    let (year, month, day) = date(seconds / 86400);
    match index {
        0x00 => decimal(seconds % 60),
        0x02 => decimal(seconds / 60 % 60),
        0x04 => decimal(seconds / 3600 % 24),
        0x07 => decimal(day),
        0x08 => decimal(month),
        0x09 => decimal(year % 100),
        0x32 => decimal(year / 100),
        // Ticking, not at the moment changing; 24 hours; running on power.
        0x0a => 0x26,
        0x0b => 0x02,
        0x0d => 0x80,
        _ => 0,
    }
}

/// Year, month and day, from days after 1970, by whole years and months.
fn date(mut days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, wanted) in
            [(0, (1970, 1, 1)), (58, (1970, 2, 28)), (11016, (2000, 2, 29)), (20781, (2026, 11, 24))]
        {
            assert_eq!(date(days), wanted);
        }
        // 2026-11-24 18:50:09
        let seconds = 20781 * 86400 + 18 * 3600 + 50 * 60 + 9;
        let read: Vec<u8> =
            [0x32, 0x09, 0x08, 0x07, 0x04, 0x02, 0x00].map(|index| register(index, seconds)).to_vec();
        assert_eq!(read, [0x20, 0x26, 0x11, 0x24, 0x18, 0x50, 0x09]);
        assert_eq!(register(0x0a, seconds) & 0x80, 0);
    }
}
