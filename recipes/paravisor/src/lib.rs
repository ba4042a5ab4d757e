//! A paravisor: at VTL2 it opens `/dev/mshv`, loads a guest into the memory of VTL0, runs it there, and handles what
//! comes back: intercepts of ports, MSRs, CPUID, memory and HLT, and time.
//!
//! [`device`] is all that talks to the kernel; [`message`] says what an intercept was; each kind is
//! handled in a file of [`intercepts`], by the devices of [`devices`]; [`processor`] is the loop around that. [`linux`]
//! and [`test_guest`] put a guest in place. What happens is told as JSON, a line an event ([`events`]).

pub mod config;
pub mod device;
pub mod devices;
pub mod events;
pub mod intercepts;
pub mod linux;
pub mod mapping;
pub mod memory;
pub mod message;
pub mod paging;
pub mod processor;
pub mod registers;
pub mod tables;
pub mod test_guest;
