//! Building again somewhere else, as somebody else, at another time, and saying where that shows.
//!
//! A [`Perturbation`] is a value: all that will be different the second time. [`Place`] is where that build runs, with
//! a store that has nothing but downloads; [`inside`] is the process there that changes what only a process can change
//! of itself; [`judge`] compares what the steps made. Where inside two files differ is `difference`'s subject.

pub mod inside;
pub mod judge;
mod perturbation;
mod place;
pub mod reference;
mod show;

pub use perturbation::{Aspect, LeftOut, Perturbation};
pub use place::{Place, is_download};
pub use show::{Told, json, show};
