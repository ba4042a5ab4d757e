//! Building again somewhere else, as somebody else, at another time, and saying where that shows.
//!
//! A [`Perturbation`] is a value: all that will be different the second time. [`Place`] is where that build runs, with
//! a store that has nothing but downloads; [`inside`] is the process there that changes what only a process can change
//! of itself; [`second`] is what it says of itself; [`judge`] compares what the steps made,
//! [`artifacts`] what a user gets. Where inside two files differ is `difference`'s subject.

pub mod artifacts;
pub mod inside;
pub mod judge;
mod look;
mod perturbation;
mod place;
pub mod reference;
pub mod second;
mod show;

pub use perturbation::{Aspect, LeftOut, Perturbation};
pub use place::{Place, is_download};
pub use show::{Told, With, json, show};
