//! What the program that UEFI starts (`src/loader`) decides without touching firmware or memory.

pub mod elf;
pub mod place;
pub mod tree;
