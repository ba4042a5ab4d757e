use expect_test::{Expect, expect};

use super::*;

fn kernel_build(source: &str, build: &str) -> KernelBuild {
    KernelBuild {
        arch: Arch::Aarch64,
        host: Arch::X86_64,
        source: source.into(),
        build: build.into(),
        search_path: "/usr/bin:/bin".into(),
        jobs: 2,
    }
}

fn check(invocation: Invocation, expected: Expect) {
    let Invocation { program, arguments, environment } = invocation;
    let environment = environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>();
    expected.assert_eq(&format!("{environment}{program}\n{}\n", arguments.join("\n")));
}

#[test]
fn cross_build() {
    let kernel = kernel_build("/s/linux", "/b");
    check(
        kernel.configure(Path::new("/b/allconfig")).unwrap(),
        expect![[r#"
        PATH=/usr/bin:/bin
        LC_ALL=C
        TZ=UTC
        SOURCE_DATE_EPOCH=0
        make
        -C
        /s/linux
        O=/b
        ARCH=arm64
        CROSS_COMPILE=aarch64-linux-gnu-
        LOCALVERSION=
        RUSTC=false
        PAHOLE=false
        KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970
        KBUILD_BUILD_USER=vtlforge
        KBUILD_BUILD_HOST=vtlforge
        KBUILD_BUILD_VERSION=1
        KCFLAGS=-fdebug-prefix-map=/b=. -ffile-prefix-map=/s/linux/= -ffile-prefix-map=/b/=
        KAFLAGS=-fdebug-prefix-map=/b=. -ffile-prefix-map=/s/linux/= -ffile-prefix-map=/b/=
        KCONFIG_ALLCONFIG=/b/allconfig
        allnoconfig
    "#]],
    );
    check(
        kernel.build().unwrap(),
        expect![[r#"
        PATH=/usr/bin:/bin
        LC_ALL=C
        TZ=UTC
        SOURCE_DATE_EPOCH=0
        make
        -C
        /s/linux
        O=/b
        ARCH=arm64
        CROSS_COMPILE=aarch64-linux-gnu-
        LOCALVERSION=
        RUSTC=false
        PAHOLE=false
        KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970
        KBUILD_BUILD_USER=vtlforge
        KBUILD_BUILD_HOST=vtlforge
        KBUILD_BUILD_VERSION=1
        KCFLAGS=-fdebug-prefix-map=/b=. -ffile-prefix-map=/s/linux/= -ffile-prefix-map=/b/=
        KAFLAGS=-fdebug-prefix-map=/b=. -ffile-prefix-map=/s/linux/= -ffile-prefix-map=/b/=
        -j2
        Image
        vmlinux
    "#]],
    );
}

#[test]
fn compilers() {
    let cases = [
        (Arch::X86_64, Arch::X86_64, ""),
        (Arch::Aarch64, Arch::Aarch64, ""),
        (Arch::X86_64, Arch::Aarch64, "aarch64-linux-gnu-"),
        (Arch::Aarch64, Arch::X86_64, "x86_64-linux-gnu-"),
    ];
    for (host, target, expected) in cases {
        assert_eq!(cross_prefix(host, target), expected, "{host:?} for {target:?}");
    }
}

#[test]
fn paths_that_make_cannot_handle() {
    let shown = |source: &str, build: &str| kernel_build(source, build).build().unwrap_err().to_string();
    expect![[r#"
        the source directory "/home/a b/linux" contains ' ', which make and the shell cannot handle in a path
          hint: choose another --store"#]]
    .assert_eq(&shown("/home/a b/linux", "/b"));
    expect![[r#"
        the build directory "/b:c" contains ':', which make and the shell cannot handle in a path
          hint: choose another --store"#]]
    .assert_eq(&shown("/s", "/b:c"));
    expect![[r#"the build directory "b" is not absolute"#]].assert_eq(&shown("/s", "b"));
    assert!(kernel_build("/home/jürgen/linux-7.3+x@1", "/b_c").build().is_ok());
}
