use expect_test::{Expect, expect};

use super::*;

/// Checks the first error of a log: its kind, line, text and hint.
fn check(log: &str, expected: Expect) {
    let shown = first_error(log)
        .map_or("none".into(), |error| format!("{:?}, line {}\n{error}", error.kind, error.line));
    expected.assert_eq(&shown);
}

const CHAIN: &str = "make[2]: *** [/s/Makefile:2063: .] Error 2\nmake[1]: *** [/s/Makefile:260: __sub-make] Error 2\nmake: *** [Makefile:260: __sub-make] Error 2\n";

/// Checks one failing step of a build, with the chain of make after it.
fn check_step(step: &str, expected: Expect) {
    check(&format!("make[1]: Entering directory '/b'\n  CC      init/main.o\n{step}{CHAIN}"), expected);
}

#[test]
fn compiler() {
    // Another job's progress stands between, and its error comes after.
    check_step(
        "\
In file included from one.c:1:
a.h: In function 'page_zone':
a.h:2:57: error: 'struct page' has no member named 'flag'; did you mean 'flags'?
    2 | static inline int page_zone(struct page *p) { return p->flag; }
  CC      kernel/error.o
      |                                                         ^~~~
      |                                                         flags
one.c: In function 'main':
one.c:3:24: warning: implicit declaration of function 'undefined_thing' [-Wimplicit-function-declaration]
    3 | int main(void){ return undefined_thing(); }
      |                        ^~~~~~~~~~~~~~~
make[3]: *** [/s/scripts/Makefile.build:287: one.o] Error 1
make[3]: *** Waiting for unfinished jobs....
two.c:1:1: error: unknown type name 'foo'
",
        expect![[r#"
            Compiler, line 5
              In file included from one.c:1:
              a.h: In function 'page_zone':
              a.h:2:57: error: 'struct page' has no member named 'flag'; did you mean 'flags'?
                  2 | static inline int page_zone(struct page *p) { return p->flag; }
                    |                                                         ^~~~
                    |                                                         flags
        "#]],
    );
    check_step(
        "\
two.c: In function 'unused':
two.c:2:23: error: unused variable 'x' [-Werror=unused-variable]
    2 | int unused(void){ int x; return 0; }
      |                       ^
cc1: all warnings being treated as errors
make[3]: *** [/s/scripts/Makefile.build:287: two.o] Error 1
",
        expect![[r#"
            Compiler, line 4
              two.c: In function 'unused':
              two.c:2:23: error: unused variable 'x' [-Werror=unused-variable]
                  2 | int unused(void){ int x; return 0; }
                    |                       ^
        "#]],
    );
    check_step(
        "  AS      asm.o\nasm.S: Assembler messages:\nasm.S:1: Error: no such instruction: `bogus %rax'\nmake[3]: *** [/s/scripts/Makefile.build:430: asm.o] Error 1\n",
        expect![[r#"
            Compiler, line 5
              asm.S: Assembler messages:
              asm.S:1: Error: no such instruction: `bogus %rax'
        "#]],
    );
    check_step(
        "gcc: error: unrecognized command-line option '-fbogus-option'\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            Compiler, line 3
              gcc: error: unrecognized command-line option '-fbogus-option'
        "#]],
    );
}

#[test]
fn headers() {
    check_step(
        "\
  HOSTCC  scripts/sorttable
/s/tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory
   10 | #include <gelf.h>
      |          ^~~~~~~~
compilation terminated.
make[4]: *** [/s/tools/build/Makefile.build:86: /b/tools/objtool/check.o] Error 1
",
        expect![[r#"
            MissingHeader, line 4
              /s/tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory
                 10 | #include <gelf.h>
                    |          ^~~~~~~~
              hint: gelf.h belongs to libelf; cargo xtask doctor lists every tool and library that is missing, and the command that installs them
        "#]],
    );
    check_step(
        "scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            MissingHeader, line 3
              scripts/sign-file.c:25:10: fatal error: openssl/opensslv.h: No such file or directory
              hint: openssl/opensslv.h belongs to OpenSSL; cargo xtask doctor lists every tool and library that is missing, and the command that installs them
        "#]],
    );
    check_step(
        "drivers/x.c:2:10: fatal error: linux/nothing.h: No such file or directory\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            Compiler, line 3
              drivers/x.c:2:10: fatal error: linux/nothing.h: No such file or directory
        "#]],
    );
}

#[test]
fn linker() {
    check_step(
        "\
  LD      vmlinux
ld: warning: cannot find entry symbol _start; defaulting to 0000000000401000
ld: init/main.o: in function `two':
main.c:(.text+0x10): undefined reference to `helper'
ld: init/do.o: in function `three':
do.c:(.text+0x10): undefined reference to `helper'
make[3]: *** [/s/scripts/Makefile.vmlinux:34: vmlinux] Error 1
",
        expect![[r#"
            Linker, line 6
              ld: init/main.o: in function `two':
              main.c:(.text+0x10): undefined reference to `helper'
              ld: init/do.o: in function `three':
              do.c:(.text+0x10): undefined reference to `helper'
        "#]],
    );
    check_step(
        "aarch64-linux-gnu-ld: cannot find x.o: No such file or directory\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            Linker, line 3
              aarch64-linux-gnu-ld: cannot find x.o: No such file or directory
        "#]],
    );
    check_step(
        "collect2: error: ld returned 1 exit status\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
        Unknown, line 4
          collect2: error: ld returned 1 exit status
          make[3]: *** [x] Error 1
    "#]],
    );
}

#[test]
fn tools_of_the_kernel() {
    check_step(
        "vmlinux.o: error: objtool: foo+0x3: unsupported\nmake[3]: *** [vmlinux.o] Error 1\n",
        expect![[r#"
            KernelTool, line 3
              vmlinux.o: error: objtool: foo+0x3: unsupported
        "#]],
    );
    check_step(
        "ERROR: modpost: \"foo\" [fs/x.ko] undefined!\nmake[3]: *** [Module.symvers] Error 1\n",
        expect![[r#"
            KernelTool, line 3
              ERROR: modpost: "foo" [fs/x.ko] undefined!
        "#]],
    );
}

#[test]
fn missing_tools() {
    check_step(
        "  LEX     scripts/kconfig/lexer.lex.c\n/bin/sh: 1: flex: not found\nmake[3]: *** [/s/scripts/Makefile.host:9: scripts/kconfig/lexer.lex.c] Error 127\n",
        expect![[r#"
            MissingTool, line 4
              /bin/sh: 1: flex: not found
              hint: flex is not installed; cargo xtask doctor lists every tool and library that is missing, and the command that installs them
        "#]],
    );
    check_step(
        "/bin/sh: line 1: bc: command not found\nmake[3]: *** [x] Error 127\n",
        expect![[r#"
        MissingTool, line 3
          /bin/sh: line 1: bc: command not found
          hint: bc is not installed; cargo xtask doctor lists every tool and library that is missing, and the command that installs them
    "#]],
    );
    // A probe fails without harm; the real error is another.
    check_step(
        "/bin/sh: 1: pahole: not found\n  CC      a.o\na.c:1:1: error: x\nmake[3]: *** [a.o] Error 1\n",
        expect![[r#"
            Compiler, line 5
              a.c:1:1: error: x
        "#]],
    );
    check_step(
        "make[2]: aarch64-linux-gnu-gcc: No such file or directory\nscripts/Kconfig.include:40: C compiler 'aarch64-linux-gnu-gcc' not found\nmake[3]: *** [/s/scripts/kconfig/Makefile:85: allnoconfig] Error 1\n",
        expect![[r#"
            MissingTool, line 4
              scripts/Kconfig.include:40: C compiler 'aarch64-linux-gnu-gcc' not found
              hint: cargo xtask doctor lists every tool and library that is missing, and the command that installs them
        "#]],
    );
}

#[test]
fn machine() {
    check_step(
        "fatal error: error writing to /tmp/cc1.s: No space left on device\nmake[3]: *** [x.o] Error 1\n",
        expect![[r#"
            NoSpace, line 3
              fatal error: error writing to /tmp/cc1.s: No space left on device
              hint: free space there, or choose another place with --store
        "#]],
    );
    check_step(
        "Killed\nmake[3]: *** [x.o] Error 137\n",
        expect![[r#"
        OutOfMemory, line 3
          Killed
          hint: the machine ran out of memory; build with fewer jobs (--jobs) or more memory
    "#]],
    );
    check_step(
        "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\nmake[3]: *** [x.o] Error 1\n",
        expect![[r#"
            OutOfMemory, line 3
              gcc: fatal error: Killed signal terminated program cc1
              hint: the machine ran out of memory; build with fewer jobs (--jobs) or more memory
        "#]],
    );
    check_step(
        "make[3]: *** [x.o] Killed\n",
        expect![[r#"
        OutOfMemory, line 3
          make[3]: *** [x.o] Killed
          hint: the machine ran out of memory; build with fewer jobs (--jobs) or more memory
    "#]],
    );
    check_step(
        "/bin/sh: 1: /s/scripts/check.sh: Permission denied\nmake[3]: *** [x] Error 126\n",
        expect![[r#"
        PermissionDenied, line 3
          /bin/sh: 1: /s/scripts/check.sh: Permission denied
          hint: see that the file is yours, and that its file system is not mounted noexec or read-only
    "#]],
    );
}

#[test]
fn makefiles() {
    check_step(
        "make[3]: *** No rule to make target 'init/nothere.o', needed by 'init/built-in.a'.  Stop.\n",
        expect![[r#"
            NoRule, line 3
              make[3]: *** No rule to make target 'init/nothere.o', needed by 'init/built-in.a'.  Stop.
              hint: the source tree is incomplete, or a patch names a file that is not there
        "#]],
    );
    check_step(
        "Makefile:14: *** compiler is too old.  Stop.\n",
        expect![[r#"
        Makefile, line 3
          Makefile:14: *** compiler is too old.  Stop.
    "#]],
    );
    check_step(
        "***\n*** The source tree is not clean, please run 'make ARCH=x86_64 mrproper'\n*** in /s\n***\nmake[2]: *** [/s/Makefile:623: outputmakefile] Error 1\n",
        expect![[r#"
            Makefile, line 4
              *** The source tree is not clean, please run 'make ARCH=x86_64 mrproper'
              *** in /s
              ***
              hint: the tree was built in place before; run `make mrproper` in it, or use a fresh copy
        "#]],
    );
}

#[test]
fn kconfig() {
    check_step(
        "drivers/Kconfig:3: syntax error\ndrivers/Kconfig:3: invalid statement\nmake[3]: *** [/s/scripts/kconfig/Makefile:85: allnoconfig] Error 1\n",
        expect![[r#"
            Kconfig, line 3
              drivers/Kconfig:3: syntax error
              drivers/Kconfig:3: invalid statement
        "#]],
    );
    check_step(
        "error: recursive dependency detected!\n\tsymbol A depends on B\n\tsymbol B is selected by A\nFor a resolution refer to Documentation/kbuild/kconfig-language.rst\n\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            Kconfig, line 3
              error: recursive dependency detected!
              	symbol A depends on B
              	symbol B is selected by A
        "#]],
    );
}

#[test]
fn nothing_recognised() {
    check_step(
        "  GEN     x\nTraceback (most recent call last):\n  File \"x.py\", line 1\nValueError: no\nmake[3]: *** [x] Error 1\n",
        expect![[r#"
            Unknown, line 7
              Traceback (most recent call last):
                File "x.py", line 1
              ValueError: no
              make[3]: *** [x] Error 1
        "#]],
    );
    check("  CC      error.o\na.c:1:1: warning: x\n", expect!["none"]);
    check("", expect!["none"]);
}
