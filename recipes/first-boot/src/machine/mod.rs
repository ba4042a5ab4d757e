//! Looking at the machine and acting on it: the only part with effects.

pub mod administrator;
pub mod azure;
pub mod devices;
pub mod http;
pub mod kernel_log;
pub mod network;
pub mod program;
pub mod provision;
pub mod server;
pub mod state;
pub mod users;
