//! Known causes of differences between builds, and their cures.

use serde::Serialize;

/// Why two builds of the same thing differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    BuildPath,
    Home,
    User,
    HostName,
    Owner,
    Umask,
    Clock,
    FileTime,
    TimeZone,
    Locale,
    Order,
    Jobs,
    Environment,
    Random,
    SigningKey,
    BuildNumber,
    BuildId,
    RustIdentity,
    ToolVersion,
    VersionControl,
    FileSystemIdentity,
    Compression,
    Checksum,
}

impl Cause {
    /// What it is, as the end of "because of …".
    pub fn text(self) -> &'static str {
        self.facts().0
    }

    /// What to do about it.
    pub fn cure(self) -> &'static str {
        self.facts().1
    }

    /// Whether such a difference only follows from another one beside it.
    pub fn follows(self) -> bool {
        matches!(self, Cause::BuildId | Cause::Checksum)
    }

    fn facts(self) -> (&'static str, &'static str) {
        match self {
            Cause::BuildPath => (
                "the folder in which it was built",
                "map it away: -ffile-prefix-map for C (KCFLAGS and KAFLAGS in a kernel), --remap-path-prefix for Rust; \
                 in build scripts use paths relative to the crate",
            ),
            Cause::Home => ("the home folder of whoever built it", "map it away, or don't read HOME"),
            Cause::User => ("the name of whoever built it", "set KBUILD_BUILD_USER, or leave the name out"),
            Cause::HostName => {
                ("the name of the machine that built it", "set KBUILD_BUILD_HOST, or leave the name out")
            }
            Cause::Owner => (
                "the user and group that own files on the machine that built it",
                "write fixed owners into archives (cpio --owner=0:0, tar --owner=0 --group=0 --numeric-owner)",
            ),
            Cause::Umask => (
                "the umask of whoever built it",
                "write fixed modes into archives, or set them (install -m, chmod) before packing",
            ),
            Cause::Clock => (
                "the time of the build",
                "take no time: no __DATE__, __TIME__ or now(); take SOURCE_DATE_EPOCH where a time must be, \
                 KBUILD_BUILD_TIMESTAMP in a kernel",
            ),
            Cause::FileTime => (
                "the times of files",
                "write a fixed time into archives and images (tar --mtime, a time provider for FAT), or clamp it to \
                 SOURCE_DATE_EPOCH",
            ),
            Cause::TimeZone => ("the time zone of the machine that built it", "run it with TZ=UTC"),
            Cause::Locale => ("the language settings of whoever built it", "run it with LC_ALL=C"),
            Cause::Order => (
                "an order that nobody fixed: of a folder's listing, of a hash table, or of jobs that ended in turn",
                "sort by name (with LC_ALL=C), keep ordered maps, collect results by number and not as they come",
            ),
            Cause::Jobs => (
                "the number of jobs",
                "let no output depend on it: -Ccodegen-units=N fixed, one thread or fixed blocks for compression",
            ),
            Cause::Environment => (
                "a variable that happened to be set",
                "clear the environment of what builds it, and hand on only what is declared",
            ),
            Cause::Random => (
                "a random number",
                "derive identifiers from the profile (GUIDs, volume ids, seeds); -frandom-seed for gcc; in a kernel \
                 RANDSTRUCT and the latent-entropy plugin off",
            ),
            Cause::SigningKey => (
                "a key made anew in each build",
                "MODULE_SIG off, or MODULE_SIG_KEY with a key that stays; sign outside of the build",
            ),
            Cause::BuildNumber => (
                "a counter of builds in the build folder",
                "set KBUILD_BUILD_VERSION, begin in an empty folder",
            ),
            Cause::BuildId => (
                "the build id, a digest of what the linker read",
                "mend what differs beside it; if nothing does, look at paths of assembler sources (KAFLAGS) and BUILD_SALT",
            ),
            Cause::RustIdentity => (
                "the hash by which rustc tells crates apart",
                "build from a path that is mapped away (--remap-path-prefix), with the same flags and -Cmetadata",
            ),
            Cause::ToolVersion => (
                "another compiler or tool",
                "install the versions that the manifest names, or build where they are, in the same container or on the \
                 same release of the distribution",
            ),
            Cause::VersionControl => (
                "the state of a checkout",
                "LOCALVERSION= and LOCALVERSION_AUTO off in a kernel; don't ask git in build scripts",
            ),
            Cause::FileSystemIdentity => (
                "inode or device numbers of the machine that built it",
                "number entries of archives by themselves (cpio --reproducible)",
            ),
            Cause::Compression => (
                "the compressor: the content is the same",
                "fix its version, level and number of threads; gzip -n",
            ),
            Cause::Checksum => ("a checksum of what differs beside it", "mend what it covers"),
        }
    }
}
