//! Leaks, planted: each is what a build really does wrong, made twice by real tools in two surroundings, found where it
//! is and put down to what it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use difference::{Cause, Comparison, Side, Sides, compare};

/// A build script that writes `out`. In its surroundings: `$USER`, `$HOME`, `$REAL_HOME`, `$HOST`, `$ID`, `$MASK`, `$JOBS`, `$NOW`
/// (seconds since 1970), `$ZONE`, `$NOISE`, `$ORDER` (file names as a folder lists them), `$SIDE` (a or b).
struct Leak {
    name: &'static str,
    script: &'static str,
    /// Where it has to be found, as people are told.
    place: &'static str,
    cause: Cause,
}

const C: &str = "gcc -c -o out leak.c";

#[rustfmt::skip]
const LEAKS: &[Leak] = &[
    Leak { name: "date macro", script: r#"echo 'const char built_at[] = __DATE__ " " __TIME__;' > leak.c; SOURCE_DATE_EPOCH=$NOW @CC"#,
        place: "section .rodata, symbol built_at", cause: Cause::Clock },
    Leak { name: "time as a number", script: r#"echo "const unsigned built_at = $NOW;" > leak.c; @CC"#,
        place: "section .rodata, symbol built_at", cause: Cause::Clock },
    Leak { name: "build path in a macro", script: r#"echo 'const char source[] = __FILE__;' > leak.c; gcc -c -o out "$PWD/leak.c""#,
        place: "section .rodata, symbol source", cause: Cause::BuildPath },
    Leak { name: "build path in debug information", script: "echo 'int one(void) { return 1; }' > leak.c; gcc -g -c -o out leak.c",
        place: "section .debug_line_str", cause: Cause::BuildPath },
    Leak { name: "build path that one build maps away", script: r#"[ $SIDE = a ] && path=/vendor || path=$PWD; echo "const char source[] = \"$path/x.c\";" > leak.c; @CC"#,
        place: "section .rodata, symbol source", cause: Cause::BuildPath },
    Leak { name: "home folder", script: r#"echo "const char home[] = \"$HOME/.config\";" > leak.c; @CC"#,
        place: "section .rodata, symbol home", cause: Cause::Home },
    Leak { name: "home folder, links followed", script: r#"echo "const char home[] = \"$REAL_HOME/.config\";" > leak.c; @CC"#,
        place: "section .rodata, symbol home", cause: Cause::Home },
    Leak { name: "KBUILD_BUILD_USER", script: r#"echo "const char linux_banner[] = \"Linux version 7.3.4 ($USER@builder) #1 SMP\";" > leak.c; @CC"#,
        place: "section .rodata, symbol linux_banner", cause: Cause::User },
    Leak { name: "host name in utsname", script: r#"echo "const char init_uts_ns[65] = \"$HOST\";" > leak.c; @CC"#,
        place: "section .rodata, symbol init_uts_ns", cause: Cause::HostName },
    Leak { name: "build number", script: r#"[ $SIDE = a ] && n=1 || n=2; echo "const char linux_banner[] = \"Linux version 7.3.4 (a@b) #$n SMP\";" > leak.c; @CC"#,
        place: "section .rodata, symbol linux_banner", cause: Cause::BuildNumber },
    Leak { name: "random GUID", script: r#"echo "const char id[] = \"$(cat /proc/sys/kernel/random/uuid)\";" > leak.c; @CC"#,
        place: "section .rodata, symbol id", cause: Cause::Random },
    Leak { name: "signing key", script: r#"(echo 'const unsigned char system_certificate_list[] = {'; head -c 64 /dev/urandom | od -An -v -tu1 | sed 's/\([0-9]\) /\1,/g; s/$/,/'; echo '};') > leak.c; @CC"#,
        place: "section .rodata, symbol system_certificate_list", cause: Cause::SigningKey },
    Leak { name: "number of jobs", script: r#"echo "const char threads[] = \"threads=$JOBS\";" > leak.c; @CC"#,
        place: "section .rodata, symbol threads", cause: Cause::Jobs },
    Leak { name: "a variable that happened to be set", script: r#"echo "const char flags[] = \"built with $NOISE\";" > leak.c; @CC"#,
        place: "section .rodata, symbol flags", cause: Cause::Environment },
    Leak { name: "state of a checkout", script: r#"[ $SIDE = a ] && v= || v=-g0123abcd4567-dirty; echo "const char release[] = \"7.3.4$v\";" > leak.c; @CC"#,
        place: "section .rodata, symbol release", cause: Cause::VersionControl },
    Leak { name: "random build id", script: "echo 'int main(void) { return 0; }' > leak.c; gcc -Wl,--build-id=uuid -o out leak.c",
        place: "section .note.gnu.build-id", cause: Cause::BuildId },
    Leak { name: "another compiler", script: r#"echo 'int one;' > leak.c; @CC; printf 'GCC: (Debian 1%s.2.0) 1%s.2.0\0' $JOBS $JOBS > comment; objcopy --update-section .comment=comment out"#,
        place: "section .comment", cause: Cause::ToolVersion },
    Leak { name: "functions in the order of a folder's listing", script: r#"for f in $ORDER; do echo "int fn_$f(void) { return 1; }"; done > leak.c; @CC"#,
        place: "symbol table, order of symbols", cause: Cause::Order },
    Leak { name: "path in the identity of a Rust crate", script: r#"printf '#![no_std]\n#[inline(never)] pub fn one() -> u32 { 1 }\n' > leak.rs; rustc --crate-type lib --edition 2021 --emit obj -Cmetadata="$PWD" -o out leak.rs"#,
        place: "symbol table", cause: Cause::RustIdentity },
    Leak { name: "mtime in a cpio archive", script: "touch -d @$NOW init; echo init | cpio --quiet --reproducible -o -H newc > out",
        place: "cpio entry init, mtime", cause: Cause::FileTime },
    Leak { name: "owner in a cpio archive", script: "touch -d @0 init; echo init | cpio --quiet --reproducible --owner=+$ID:+$ID -o -H newc > out",
        place: "cpio entry init, uid", cause: Cause::Owner },
    Leak { name: "umask in a cpio archive", script: "umask $MASK; echo one > init; touch -d @0 init; echo init | cpio --quiet --reproducible -o -H newc > out",
        place: "cpio entry init, mode", cause: Cause::Umask },
    Leak { name: "inodes in a cpio archive", script: "touch $SIDE; touch init; touch -d @0 init; echo init | cpio --quiet -o -H newc > out",
        place: "cpio entry init, ino", cause: Cause::FileSystemIdentity },
    Leak { name: "a folder's order in a cpio archive", script: "touch -d @0 $ORDER; printf '%s\\n' $ORDER | cpio --quiet --reproducible -o -H newc > out",
        place: "order of cpio entries", cause: Cause::Order },
    Leak { name: "volume id of a FAT file system", script: "truncate -s 4M out; mkfs.fat -i $(od -An -N4 -tx4 /dev/urandom | tr -d ' ') out >&2",
        place: "volume id", cause: Cause::Random },
    Leak { name: "file time in a FAT file system", script: "truncate -s 4M out; mkfs.fat -i 12345678 --invariant out >&2; touch -d @$NOW LOADER; mcopy -m -i out LOADER ::LOADER",
        place: "FAT entry LOADER, modified", cause: Cause::FileTime },
    Leak { name: "random GUID of a disk", script: "truncate -s 4M out; sgdisk --disk-guid=R --new=1:2048:4095 --partition-guid=1:11111111-2222-4333-8444-555555555555 out >&2",
        place: "disk GUID", cause: Cause::Random },
    Leak { name: "random GUID of a partition", script: "truncate -s 4M out; sgdisk --new=1:2048:4095 --disk-guid=11111111-2222-4333-8444-555555555555 --partition-guid=1:R out >&2",
        place: "partition 1, GUID", cause: Cause::Random },
    Leak { name: "time in a gzip header", script: "echo content > file; touch -d @$NOW file; gzip -c file > out",
        place: "gzip time", cause: Cause::Clock },
    Leak { name: "compressor with another number of threads", script: "seq 200000 > file; [ $SIDE = a ] && l=1 || l=7; zstd -q -$l -c file > out",
        place: "", cause: Cause::Compression },
    Leak { name: "list sorted by a language", script: "[ $SIDE = a ] && s=sort || s='sort -f'; printf 'Beta\\nalpha\\nGamma\\ndelta\\n' | LC_ALL=C $s > out",
        place: "order of lines", cause: Cause::Locale },
    Leak { name: "time zone", script: "TZ=$ZONE date -d @0 '+%H:%M %Z' > out",
        place: "line 1", cause: Cause::TimeZone },
    Leak { name: "path in a device tree", script: r#"echo "/dts-v1/; / { chosen { bootargs = \"rdinit=$PWD/init\"; }; };" > leak.dts; dtc -q -O dtb -o out leak.dts"#,
        place: "node /chosen, property bootargs", cause: Cause::BuildPath },
    Leak { name: "compiler in a kernel's configuration", script: r#"printf 'CONFIG_CC_VERSION_TEXT="gcc 1%s.2.0"\nCONFIG_SMP=y\n' $JOBS > out"#,
        place: "CONFIG_CC_VERSION_TEXT", cause: Cause::ToolVersion },
    Leak { name: "path in a kernel's configuration", script: r#"printf 'CONFIG_INITRAMFS_SOURCE="%s/root"\nCONFIG_SMP=y\n' "$PWD" > out"#,
        place: "CONFIG_INITRAMFS_SOURCE", cause: Cause::BuildPath },
    Leak { name: "a date deep inside of a disk", script: r#"echo 'const char built_at[] = __DATE__;' > leak.c; SOURCE_DATE_EPOCH=$NOW gcc -c -o init leak.c; touch -d @0 init
        echo init | cpio --quiet --reproducible --owner=+0:+0 -o -H newc | zstd -q > initramfs; truncate -s 3M esp; mkfs.fat -i 12345678 --invariant esp >&2
        touch -d @315532800 initramfs; mcopy -m -i esp initramfs ::INITRAMF
        truncate -s 8M out; sgdisk --disk-guid=11111111-2222-4333-8444-555555555555 --new=1:2048:8191 --partition-guid=1:11111111-2222-4333-8444-555555555556 out >&2
        dd if=esp of=out bs=512 seek=2048 conv=notrunc status=none"#,
        place: "partition 1, FAT entry INITRAMF, inside zstd, cpio entry init, section .rodata, symbol built_at", cause: Cause::Clock },
];

/// Two surroundings in which everything differs that a script can see.
fn surroundings(side: &str, folder: &Path) -> (Side, Vec<(&'static str, String)>) {
    let is_a = side == "a";
    let pick = |a: &str, b: &str| if is_a { a.to_string() } else { b.to_string() };
    let now: u64 = if is_a { 1_700_000_000 } else { 1_800_012_345 };
    let known = Side {
        paths: vec![folder.to_string_lossy().into_owned()],
        home: Some(pick("/home/ada", "/somewhere/else")),
        real_home: Some(pick("/home/ada", "/elsewhere/at-last")),
        user: Some(pick("ada", "grace")),
        host_name: Some(pick("engine", "harvard.invalid")),
        uid: Some(if is_a { 1000 } else { 4711 }),
        gid: Some(if is_a { 1000 } else { 4711 }),
        umask: Some(if is_a { 0o022 } else { 0o077 }),
        jobs: Some(if is_a { 2 } else { 3 }),
        locale: None,
        time_zone: Some(pick("UTC", "XYZ-5:45")),
        environment: if is_a { Vec::new() } else { vec!["noise-1815".to_string()] },
        clock: Some(now - 60..now + 60),
    };
    let order = pick("delta alpha charlie bravo", "bravo delta alpha charlie");
    let variables = vec![
        ("HOME", known.home.clone().unwrap_or_default()),
        ("REAL_HOME", known.real_home.clone().unwrap_or_default()),
        ("USER", known.user.clone().unwrap_or_default()),
        ("HOST", known.host_name.clone().unwrap_or_default()),
        ("ID", known.uid.unwrap_or_default().to_string()),
        ("MASK", pick("022", "077")),
        ("JOBS", known.jobs.unwrap_or_default().to_string()),
        ("NOW", now.to_string()),
        ("ZONE", known.time_zone.clone().unwrap_or_default()),
        ("NOISE", pick("nothing", "noise-1815")),
        ("ORDER", order),
        ("SIDE", side.to_string()),
    ];
    (known, variables)
}

/// Runs a script; the bytes of `out`, and by what the build is known.
fn build(script: &str, side: &str, root: &Path) -> (Vec<u8>, Side) {
    let folder: PathBuf = root.join(if side == "a" { "first" } else { "second-and-longer" });
    fs::create_dir_all(&folder).unwrap();
    let (known, variables) = surroundings(side, &folder);
    let path = std::env::var("PATH").unwrap();
    let rust = ["RUSTUP_HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN"];
    let mut command = Command::new("sh");
    command.args(["-euc", &script.replace("@CC", C)]).current_dir(&folder).env_clear().env("LC_ALL", "C");
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("MTOOLSRC", "/dev/null").env("TZ", "UTC");
    command.envs(rust.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
    if std::env::var_os("RUSTUP_HOME").is_none() {
        command.env("RUSTUP_HOME", std::env::home_dir().unwrap().join(".rustup"));
    }
    let output = command.envs(variables).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    (fs::read(folder.join("out")).unwrap(), known)
}

fn told(comparison: &Comparison) -> String {
    let line = |finding: &difference::Finding| {
        format!("{} | {:?} | {} | {}\n", finding.place_text(), finding.cause, finding.ours, finding.theirs)
    };
    comparison.findings.iter().map(line).collect()
}

#[test]
fn every_planted_leak_is_found_and_attributed() {
    assert!(LEAKS.len() >= 15);
    let mut wrong = String::new();
    for leak in LEAKS {
        let root = tempfile::tempdir().unwrap();
        let ((ours, a), (theirs, b)) =
            (build(leak.script, "a", root.path()), build(leak.script, "b", root.path()));
        let comparison = compare(&ours, &theirs, &Sides { ours: a, theirs: b });
        let is_it = |finding: &difference::Finding| {
            finding.place_text().starts_with(leak.place) && finding.cause == Some(leak.cause)
        };
        if !comparison.findings.iter().any(is_it) {
            wrong += &format!(
                "{}: no `{}` because of {:?} among\n{}",
                leak.name,
                leak.place,
                leak.cause,
                told(&comparison)
            );
        }
        // What explains stands first, not what only follows.
        let first = comparison.findings.first().and_then(|finding| finding.cause);
        if first.is_none_or(|first| first.follows() && !leak.cause.follows()) {
            wrong += &format!("{}: {first:?} stands first\n", leak.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The same builds in the same surroundings have nothing to tell: no format's reader sees what isn't there.
#[test]
fn what_leaks_nothing_is_the_same() {
    let random = ["urandom", "uuid", "guid", "inodes"];
    for leak in LEAKS
        .iter()
        .filter(|leak| random.iter().all(|word| !leak.script.contains(word) && !leak.name.contains(word)))
    {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // A link gives both the same name, one after the other.
        let place = one.path().join("place");
        let (first, _) = build(leak.script, "a", &place);
        fs::rename(&place, other.path().join("before")).unwrap();
        let (second, _) = build(leak.script, "a", &place);
        assert_eq!(compare(&first, &second, &Sides::default()).findings, Vec::new(), "{}", leak.name);
    }
}
