//! The program of `cargo xtask`, which is all in the library.

fn main() -> std::process::ExitCode {
    xtask::main()
}
