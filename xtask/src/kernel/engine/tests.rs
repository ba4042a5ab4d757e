//! Small trees with a compiler that says its version and nothing else.

use std::fs;

use expect_test::{Expect, expect};

use super::*;
use crate::host::{Arch, testing::FakeHost};

const MAKEFILE: &str = "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";

const KCONFIG: &str = r#"mainmenu "Linux/$(ARCH) $(KERNELVERSION)"

cc-name := $(shell,$(CC) --version | cut -d " " -f 1)

config CC_VERSION_TEXT
	string
	default "$(CC_VERSION_TEXT)"

config CC_NAME
	string
	default "$(cc-name)"

config IN_TREE
	string
	default "$(shell,cat $(srctree)/note)"

source "arch/$(SRCARCH)/Kconfig"
"#;

const ARCH_KCONFIG: &str = r#"config NET
	bool "Networking"

config TUN
	bool "Tunnels"
	depends on NET

config PLACE
	string "Place"
	default "$(shell,ls | wc -l) files beside"
"#;

/// A source tree, a build folder and a memory below a machine's folder.
struct World {
    machine: FakeHost,
}

impl World {
    fn new() -> World {
        let world = World { machine: FakeHost::new(Arch::X86_64) };
        fs::create_dir(world.path("build")).unwrap();
        let files = [
            ("Makefile", MAKEFILE),
            ("Kconfig", KCONFIG),
            ("arch/arm64/Kconfig", ARCH_KCONFIG),
            ("note", "a note\n"),
        ];
        files.into_iter().for_each(|(path, text)| world.write(path, text));
        world.machine.tool("aarch64-linux-gnu-gcc", "gcc (Tests #1) 14.1");
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.machine.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        self.machine.file(&format!("tree/{path}"), text);
    }

    fn read(&self, tree: Option<&str>, ask: Ask) -> Result<Engine, EngineError> {
        self.read_unless(tree, ask, None)
    }

    fn read_unless(
        &self,
        tree: Option<&str>,
        ask: Ask,
        cancel: Option<&AtomicBool>,
    ) -> Result<Engine, EngineError> {
        let build = KernelBuild {
            arch: Arch::Aarch64,
            host: Arch::X86_64,
            source: self.path("tree"),
            build: self.path("build"),
            search_path: format!("{}:/usr/bin:/bin", self.path("bin").display()),
            jobs: 1,
        };
        let tree = tree.map(|tree| Digest::of(tree.as_bytes()));
        let memory = self.path("memory");
        let (source, toolbox) = (&build.source, &Toolbox::Host(&self.machine.host));
        Engine::read(&Setting {
            build: &build,
            source,
            toolbox,
            tree,
            tools: BTreeMap::new(),
            memory,
            ask,
            cancel,
        })
    }

    /// How many commands it takes to read a tree of this name.
    #[track_caller]
    fn asked(&self, tree: Option<&str>, ask: Ask) -> usize {
        self.read(tree, ask).unwrap_or_else(|error| panic!("{error}")).asked()
    }
}

#[track_caller]
fn check(world: &World, all_config: &str, expected: Expect) {
    let engine = world.read(Some("one"), Ask::Missing).unwrap_or_else(|error| panic!("{error}"));
    expected.assert_eq(&engine.solve(all_config).dot_config());
}

#[test]
fn everything_is_off_but_what_was_asked_for() {
    let world = World::new();
    check(
        &world,
        "CONFIG_NET=y\n",
        expect![[r##"
        #
        # Automatically generated file; DO NOT EDIT.
        # Linux/arm64 7.3.4
        #
        CONFIG_CC_VERSION_TEXT="gcc (Tests 1) 14.1"
        CONFIG_CC_NAME="gcc"
        CONFIG_IN_TREE="a note"
        CONFIG_NET=y
        # CONFIG_TUN is not set
        CONFIG_PLACE="0 files beside"
    "##]],
    );
    check(
        &world,
        "CONFIG_TUN=y\nCONFIG_PLACE=\"here\"\n",
        expect![[r##"
        #
        # Automatically generated file; DO NOT EDIT.
        # Linux/arm64 7.3.4
        #
        CONFIG_CC_VERSION_TEXT="gcc (Tests 1) 14.1"
        CONFIG_CC_NAME="gcc"
        CONFIG_IN_TREE="a note"
        # CONFIG_NET is not set
        CONFIG_PLACE="here"
    "##]],
    );
}

#[test]
fn what_was_answered_is_not_asked_again() {
    let world = World::new();
    // Three versions, the name, the note and the count of files.
    assert_eq!(world.asked(Some("one"), Ask::Missing), 6);
    assert_eq!(world.asked(Some("one"), Ask::Missing), 0);
    assert_eq!(world.asked(Some("one"), Ask::Nothing), 0);
    assert_eq!(world.asked(Some("one"), Ask::Everything), 6);
    // Another tree: only what names it, the note and pahole's script.
    assert_eq!(world.asked(Some("two"), Ask::Missing), 2);
    // Nothing of a tree that may change is remembered.
    assert_eq!(world.asked(None, Ask::Missing), 2);
    assert_eq!(world.asked(None, Ask::Missing), 2);
}

#[test]
fn without_asking_there_is_no_engine_for_a_new_tree() {
    let world = World::new();
    let is_unknown = |tree| matches!(world.read(tree, Ask::Nothing), Err(EngineError::NotRemembered));
    assert!(is_unknown(Some("one")) && is_unknown(None));
    world.asked(Some("one"), Ask::Missing);
    assert!(is_unknown(Some("two")) && is_unknown(None));
}

#[test]
fn a_page_that_is_damaged_is_an_empty_one() {
    let world = World::new();
    world.asked(Some("one"), Ask::Missing);
    for page in fs::read_dir(world.path("memory")).unwrap() {
        fs::write(page.unwrap().path(), "{").unwrap();
    }
    assert_eq!(world.asked(Some("one"), Ask::Missing), 6);
}

/// Whoever may ask has checked the tree before; whoever may not can't tell.
#[test]
fn a_tree_that_is_not_what_it_was() {
    let world = World::new();
    world.asked(Some("one"), Ask::Missing);
    world.write("arch/arm64/Kconfig", &ARCH_KCONFIG.replace("Tunnels", "Pipes"));
    assert!(matches!(world.read(Some("one"), Ask::Nothing), Err(EngineError::NotRemembered)));
    assert_eq!(world.asked(Some("one"), Ask::Missing), 0);
    assert_eq!(world.asked(Some("one"), Ask::Nothing), 0);
}

#[test]
fn what_is_no_kconfig_is_told() {
    let world = World::new();
    world.write("Kconfig", "config A\n\tfrobnicate\n");
    let error = world.read(None, Ask::Missing).map(|_| ()).unwrap_err();
    expect![[r#"
        this tool can't read the kernel's Kconfig files:
        Kconfig:2: syntax error
        Kconfig:2: unknown statement "frobnicate"
          hint: `cargo xtask config check --with-conf` has the kernel's own conf decide"#]]
    .assert_eq(&error.to_string());
}

#[test]
fn a_shell_that_is_stopped_ends_the_reading() {
    let world = World::new();
    let stopped = AtomicBool::new(true);
    let read = world.read_unless(None, Ask::Missing, Some(&stopped));
    assert!(matches!(read, Err(EngineError::Command(error)) if error.is_cancelled()));
}
