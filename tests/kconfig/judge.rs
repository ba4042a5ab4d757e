//! The kernel's own conf as it is run by make, only faster: what compiler probes answered and what conf said to a
//! question is kept in the target folder, by all that it depends on.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{
    harness,
    question::{Answer, Mode, Question},
};

/// What make exports beside what Kconfig files may ask for.
const OF_MAKE: [&str; 8] = [
    "ENVIRONMENT",
    "KBUILD_KCONFIG",
    "KCONFIG_DEFCONFIG_LIST",
    "MAKEFLAGS",
    "MAKEOVERRIDES",
    "MFLAGS",
    "OLDPWD",
    "PWD",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probing {
    /// conf runs every command.
    Real,
    /// Commands that ran before are answered from memory.
    Remembered,
}

pub struct Judge {
    folder: PathBuf,
    /// The environment that make gives to conf.
    pub environment: BTreeMap<String, String>,
    /// The architecture's defaults, as conf finds them in the tree.
    pub defaults: String,
    runs: AtomicUsize,
}

impl Judge {
    /// Builds conf, or takes what was built from the same: `key` stands for the tree and all tools.
    pub fn new(name: &str, key: &str, tree: &Path, arch: &str, cross_compile: &str) -> Judge {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kconfig-judges");
        let folder = all.join(format!("{name}-{}", &key[..16]));
        // conf finds the tree where it was built for: a store that has moved needs another.
        let is_for_tree = fs::read(folder.join("environment"))
            .is_ok_and(|variables| String::from_utf8_lossy(&variables).contains(&*tree.to_string_lossy()));
        if !is_for_tree {
            let _ = fs::remove_dir_all(&folder);
            let fresh = all.join(format!("{name}-{}", std::process::id()));
            build(&fresh, tree, arch, cross_compile);
            // If another test program was faster, its work is as good.
            let _ = fs::rename(&fresh, &folder);
            let _ = fs::remove_dir_all(&fresh);
        }
        let environment = fs::read(folder.join("environment")).unwrap();
        let environment = String::from_utf8(environment).expect("make's variables are UTF-8");
        let mut environment: BTreeMap<String, String> = environment
            .split_terminator('\0')
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let list = environment.get("KCONFIG_DEFCONFIG_LIST").and_then(|list| list.split_whitespace().last());
        let defaults = list.expect("the list ends with the architecture's defaults").to_string();
        for name in OF_MAKE {
            environment.remove(name);
        }
        Judge { folder, environment, defaults, runs: AtomicUsize::new(0) }
    }

    pub fn program(&self) -> PathBuf {
        self.folder.join("build/scripts/kconfig/conf")
    }

    /// Commands that conf runs while it reads the Kconfig files, with what they printed.
    pub fn probes(&self) -> BTreeMap<String, Vec<u8>> {
        let answers = self.folder.join("answers");
        if !answers.exists() {
            self.answer(&Question::new(Mode::AllNo, None), Probing::Remembered);
        }
        let mut probes = BTreeMap::new();
        for entry in fs::read_dir(answers).unwrap() {
            let content = fs::read(entry.unwrap().path()).unwrap();
            let end = content.iter().position(|&byte| byte == 0).expect("a NUL behind the command");
            let command = String::from_utf8(content[..end].to_vec()).expect("commands are UTF-8");
            probes.insert(command, content[end + 1..].to_vec());
        }
        probes
    }

    /// The summary of conf's answer; conf runs if it never was asked.
    pub fn summary(&self, question: &Question, probing: Probing) -> String {
        let kept = self.folder.join(format!("said-{probing:?}")).join(question.id());
        if let Ok(summary) = fs::read_to_string(&kept) {
            return summary;
        }
        let summary = self.answer(question, probing).summary();
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        // Two may do the same at once, so the file comes into being whole.
        let fresh = kept.with_extension(self.runs.fetch_add(1, Ordering::Relaxed).to_string());
        fs::write(&fresh, &summary).unwrap();
        fs::rename(&fresh, &kept).unwrap();
        summary
    }

    pub fn answer(&self, question: &Question, probing: Probing) -> Answer {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("run-{}-{run}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut conf = Command::new(self.program());
        conf.env_clear().envs(&self.environment);
        if probing == Probing::Remembered {
            let answers = self.folder.join("answers");
            fs::create_dir_all(&answers).unwrap();
            conf.env("LD_PRELOAD", self.folder.join("popen.so")).env("PROBE_ANSWERS", answers);
        }
        if question.input.is_none() {
            conf.env("KCONFIG_DEFCONFIG_LIST", &self.defaults);
        }
        let answer = ask(&mut conf, &folder, question, &self.defaults);
        fs::remove_dir_all(&folder).unwrap();
        answer
    }
}

/// Runs conf in `folder`, which must be its own, on the file `Kconfig` there or in the tree that the environment names.
pub fn ask(conf: &mut Command, folder: &Path, question: &Question, defaults: &str) -> Answer {
    // conf makes a file a symbol if it doesn't find this one.
    fs::create_dir_all(folder.join("include/config")).unwrap();
    fs::write(folder.join("include/config/auto.conf"), "").unwrap();
    conf.current_dir(folder).stdin(Stdio::null()).arg("-s");
    let mut written = ".config";
    match question.mode {
        Mode::Default => _ = conf.arg(format!("--defconfig={defaults}")),
        Mode::SaveDefault => {
            written = "defconfig";
            conf.arg("--savedefconfig=defconfig");
        }
        mode => _ = conf.arg(format!("--{}", mode.option())),
    }
    if let Some(input) = &question.input {
        fs::write(folder.join(question.input_name()), input).unwrap();
        if question.mode.is_fill() {
            conf.env("KCONFIG_ALLCONFIG", question.input_name());
        }
    }
    let output = conf.arg("Kconfig").output().expect("conf starts");
    let status = output.status.code().unwrap_or(-1);
    let config = match question.mode {
        Mode::ListNew => None,
        _ if status != 0 => None,
        _ => fs::read(folder.join(written)).ok(),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer::new(status, config, text(&output.stdout), &text(&output.stderr))
}

/// Lets the kernel's Makefile build conf and run it once, over a file that keeps the environment.
fn build(folder: &Path, tree: &Path, arch: &str, cross_compile: &str) {
    let _ = fs::remove_dir_all(folder);
    let build = folder.join("build");
    fs::create_dir_all(&build).unwrap();
    fs::write(folder.join("Kconfig"), "unused := $(shell,env -0 > $(ENVIRONMENT))\n").unwrap();
    let mut make = Command::new("make");
    make.env_clear()
        .envs(["PATH"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs([("LC_ALL", "C"), ("TZ", "UTC")])
        .env("ENVIRONMENT", folder.join("environment"))
        .arg("-C")
        .arg(tree)
        .arg(format!("O={}", build.display()))
        .args([format!("ARCH={arch}"), format!("CROSS_COMPILE={cross_compile}")])
        .args(["RUSTC=false", "PAHOLE=false"])
        .arg(format!("KBUILD_KCONFIG={}", folder.join("Kconfig").display()))
        .arg("allnoconfig");
    harness::run(&mut make).expect("make allnoconfig");
    let source = harness::project().join("tests/kconfig/popen.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    gcc.arg(folder.join("popen.so")).arg(source).arg("-ldl");
    harness::run(&mut gcc).expect("gcc popen.c");
}
