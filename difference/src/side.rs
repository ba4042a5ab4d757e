//! What is known of the two builds that are compared: a difference that carries such a value tells its cause.

use std::ops::Range;

/// One build. What isn't known is empty: of somebody else's release that is everything.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Folders of sources, build and store, the longest names first.
    pub paths: Vec<String>,
    pub home: Option<String>,
    /// What the home folder is called once symbolic links are followed.
    pub real_home: Option<String>,
    pub user: Option<String>,
    pub host_name: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub umask: Option<u32>,
    pub jobs: Option<usize>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    /// Names or values of variables that nobody asked for.
    pub environment: Vec<String>,
    /// From when to when it ran by its own clock, in seconds since 1970.
    pub clock: Option<Range<u64>>,
}

/// Ours, which is the reference, and theirs.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    pub ours: Side,
    pub theirs: Side,
}
