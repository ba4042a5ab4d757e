//! Mistakes on the command line.

use expect_test::{Expect, expect};

use crate::{Case, Edit, check};

fn case(name: &'static str, arguments: &'static [&'static str], expected: Expect) -> Case {
    Case { name, arguments, edits: &[], expected }
}

#[test]
fn what_cannot_be_understood() {
    check([
        case(
            "no verb",
            &[],
            expect![[r#"
                status 2
                --- stderr
                Builds reproducible bootable images for Hyper-V's Virtual Trust Levels

                Usage: cargo xtask <COMMAND>

                Commands:
                  build-image  Build the images of profiles: kernel, payload, disk
                  plan         Show what a build would do, and why what is not in the store isn't
                  boot         Boot a profile under QEMU, at a trust level or without one, and judge what came of it
                  verify       Build a profile again from nothing, perturbed, and say where and why bytes differ
                  explain      Say where a value comes from, who asks for a kernel symbol, what a step is made from
                  config       Check, print or compare kernel configurations without building
                  fdt          Show, check or compare device trees without building
                  igvm         Show, map, compare and take apart IGVM files, whoever made them
                  image        Show and judge images of disks, whoever made them; turn one format into another
                  measure      Say what the platforms of an IGVM file measure of it, and which pages changed that
                  doctor       List what this machine lacks, and the command that mends it
                  release      Make signed bundles for others, with bills of materials; check such bundles
                  provision    From a profile to a machine that runs it
                  pins         Look after profiles/pins.yaml and the lock of the builder's root
                  schema       Write the JSON schemas that editors use, made from the profile's types
                  test         Run the whole test suite
                  bench        Compare with what one would use instead
                  help         Print this message or the help of the given subcommand(s)

                Options:
                  -h, --help     Print help
                  -V, --version  Print version
            "#]],
        ),
        case(
            "unknown verb",
            &["biuld-image"],
            expect![[r#"
                status 2
                --- stderr
                error: unrecognized subcommand 'biuld-image'

                  tip: a similar subcommand exists: 'build-image'

                Usage: cargo xtask <COMMAND>

                For more information, try '--help'.
            "#]],
        ),
        case(
            "unknown flag",
            &["plan", "--stroe", "x"],
            expect![[r#"
                status 2
                --- stderr
                error: unexpected argument '--stroe' found

                  tip: a similar argument exists: '--store'

                Usage: cargo xtask plan --store <DIR> [PROFILE]...

                For more information, try '--help'.
            "#]],
        ),
        case(
            "unknown profile",
            &["plan", "mien"],
            expect![[r#"
                status 1
                --- stderr
                error: profiles: there is no profile `mien`, only `aarch64-universal`, `aarch64-vtl0`, `aarch64-vtl2`, `coco-aarch64`, `coco-x86_64`, `mine`, `x86_64-vtl0` and `x86_64-vtl2`
                  hint: did you mean `mine`?
                1 problem
            "#]],
        ),
        case(
            "a profile like none",
            &["build-image", "frobnicate"],
            expect![[r#"
                status 1
                --- stderr
                error: profiles: there is no profile `frobnicate`, only `aarch64-universal`, `aarch64-vtl0`, `aarch64-vtl2`, `coco-aarch64`, `coco-x86_64`, `mine`, `x86_64-vtl0` and `x86_64-vtl2`
                  hint: a new profile is a new file, profiles/NAME.yaml
                1 problem
            "#]],
        ),
        case(
            "profile and --all",
            &["plan", "mine", "--all"],
            expect![[r#"
                status 2
                --- stderr
                error: the argument '[PROFILE]...' cannot be used with '--all'

                Usage: cargo xtask plan <PROFILE>...

                For more information, try '--help'.
            "#]],
        ),
        case(
            "no jobs",
            &["build-image", "--jobs", "0"],
            expect![[r#"
                status 2
                --- stderr
                error: invalid value '0' for '--jobs <N>': 0 is not in 1..=65535

                For more information, try '--help'.
            "#]],
        ),
        case(
            "too many jobs",
            &["build-image", "--jobs", "many"],
            expect![[r#"
                status 2
                --- stderr
                error: invalid value 'many' for '--jobs <N>': invalid digit found in string

                For more information, try '--help'.
            "#]],
        ),
        case(
            "unknown format",
            &["plan", "--format", "jsno"],
            expect![[r#"
                status 2
                --- stderr
                error: invalid value 'jsno' for '--format <FORMAT>'
                  [possible values: human, json, dot, github]

                  tip: a similar value exists: 'json'

                For more information, try '--help'.
            "#]],
        ),
        case(
            "no profile to explain",
            &["explain"],
            expect![[r#"
                status 2
                --- stderr
                error: the following required arguments were not provided:
                  <PROFILE>

                Usage: cargo xtask explain <PROFILE> [WHAT]

                For more information, try '--help'.
            "#]],
        ),
        case(
            "the same profile twice",
            &["config", "diff", "mine", "mine"],
            expect![[r#"
                status 1
                --- stderr
                error: name two different configurations
            "#]],
        ),
        case(
            "nothing known of this pin",
            &["pins", "update", "linux-7.4"],
            expect![[r#"
                status 1
                --- stderr
                error: cannot renew the pins:
                  profiles/pins.yaml has no pin "linux-7.4"; did you mean "linux-7.3"?
            "#]],
        ),
        case(
            "a test's two lengths",
            &["test", "--fast", "--exhaustive"],
            expect![[r#"
                status 2
                --- stderr
                error: the argument '--fast' cannot be used with '--exhaustive'

                Usage: cargo xtask test --fast [FILTER]

                For more information, try '--help'.
            "#]],
        ),
        case(
            "unknown comparison",
            &["bench", "packing"],
            expect![[r#"
                status 2
                --- stderr
                error: invalid value 'packing' for '[WHICH]...'
                  [possible values: noop, pack, convert, fdt, release, igvm, upload, kconfig, boot, vtl0, compile, kernel, verify]

                  tip: a similar value exists: 'pack'

                For more information, try '--help'.
            "#]],
        ),
        case(
            "unknown profile to doctor",
            &["doctor", "mien"],
            expect![[r#"
                status 1
                --- stderr
                error: profiles: there is no profile `mien`, only `aarch64-universal`, `aarch64-vtl0`, `aarch64-vtl2`, `coco-aarch64`, `coco-x86_64`, `mine`, `x86_64-vtl0` and `x86_64-vtl2`
                  hint: did you mean `mine`?
                1 problem
            "#]],
        ),
    ]);
}

#[test]
fn places_that_cannot_be() {
    check([
        case(
            "a mirror that is a word",
            &["build-image", "mine", "--mirror", "nonsense"],
            expect![[r#"
                status 1
                --- stderr
                error: --mirror: "nonsense" is not a place to download from: it is neither an address nor an absolute path; write https://…, http://…, file:///… or an absolute path
            "#]],
        ),
        case(
            "a mirror by a strange way",
            &["plan", "mine", "--mirror", "ftp://a.example/debian"],
            expect![[r#"
                status 1
                --- stderr
                error: --mirror: "ftp://a.example/debian" is not a place to download from: the scheme "ftp" is not supported; write https://…, http://…, file:///… or an absolute path
            "#]],
        ),
        case(
            "a secret in a bad address stays one",
            &["plan", "mine", "--mirror", "htps://name:password@a.example/?token=secret"],
            expect![[r#"
                status 1
                --- stderr
                error: --mirror: "htps://a.example/" is not a place to download from: the scheme "htps" is not supported; write https://…, http://…, file:///… or an absolute path
            "#]],
        ),
        case(
            "a store that can't be made",
            &["build-image", "mine", "--store", "/proc/vtlforge"],
            expect![[r#"
                status 1
                --- stderr
                error: can't make /proc/vtlforge/v1/steps: No such file or directory (os error 2)
                  hint: choose another place with --store DIR
            "#]],
        ),
    ]);
}

#[test]
fn offline_with_an_empty_store_says_all_that_is_missing() {
    const ARGUMENTS: &[&str] = &["build-image", "mine", "--offline"];
    const RECIPE: Edit = Edit::Write(
        "recipes/tool/recipe.yaml",
        "description: A tool that comes ready made.\nprebuilt:\n  - arch: x86_64\n    \
         url: https://a.example/tool\n    \
         sha256: ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\n    install: /bin/tool\n",
    );
    check([
        case(
            "pins",
            ARGUMENTS,
            expect![[r#"
                status 1
                --- stderr
                error: not on this machine, and --offline forbids downloading:
                  linux-source-7.3 VERSION
                    SIZE bytes, sha256 DIGEST
                    found as DIR/pool/main/l/linux/linux-source-7.3_VERSION_all.deb or DIR/linux-source-7.3_VERSION_all.deb
                  systemd-boot-efi VERSION
                    SIZE bytes, sha256 DIGEST
                    found as DIR/pool/main/s/systemd/systemd-boot-efi_VERSION_amd64.deb or DIR/systemd-boot-efi_VERSION_amd64.deb
                  hint: run once without --offline, or put the files into a folder and name it with --mirror DIR
            "#]],
        ),
        Case {
            name: "git and a prebuilt program",
            arguments: ARGUMENTS,
            edits: &[
                RECIPE,
                Edit::Replace("profiles/mine.yaml", "[vtl2-init]", "[vtl2-init, tool]"),
                Edit::Replace(
                    "profiles/layers/mine.yaml",
                    "{pin: linux-7.3}",
                    "{git: {url: 'https://a.example/linux', revision: 0123456789abcdef0123456789abcdef01234567}}",
                ),
            ],
            expected: expect![[r#"
                status 1
                --- stderr
                error: not on this machine, and --offline forbids downloading:
                  revision 0123456789abcdef0123456789abcdef01234567 of https://a.example/linux
                  https://a.example/tool
                    sha256 DIGEST
                  systemd-boot-efi VERSION
                    SIZE bytes, sha256 DIGEST
                    found as DIR/pool/main/s/systemd/systemd-boot-efi_VERSION_amd64.deb or DIR/systemd-boot-efi_VERSION_amd64.deb
                  hint: run once without --offline, or put the files into a folder and name it with --mirror DIR
            "#]],
        },
    ]);
}
