//! What compiled Rust calls and a C library would bring, for programs without a system below. They name the crate
//! (`use bare_runtime as _;`) and nothing in it.

#![no_std]

// The targets `*-unknown-none` have these in compiler_builtins.
#[cfg(not(target_os = "none"))]
mod memory;
