//! What the guest finds beside its processor.

pub mod apic;
pub mod clock;
pub mod rtc;
pub mod serial;
