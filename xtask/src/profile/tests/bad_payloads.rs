//! Recipes that bring nothing, too much, or the same.

use expect_test::expect;

use super::{BASE, DEMO, INIT, TOOLS, Tree, good};

#[test]
fn missing_recipe() {
    good().edit(BASE, "[init]", "[innit]").bad(expect![[r#"
        profiles/layers/base.yaml:6:13: there is no recipe `innit` (no file recipes/innit/recipe.yaml)
         6 |   recipes: [innit]
           |             ^
          hint: did you mean `init`?
        1 problem"#]]);
}

#[test]
fn missing_description() {
    good().edit(INIT, "description: Process 1.\n", "").bad(expect![[r#"
        recipes/init/recipe.yaml:1:1: the key `description` is missing
         1 | cargo:
           | ^
        1 problem"#]]);
}

#[test]
fn wrong_recipe() {
    good().edit(INIT, "install: /init", "install: init\n  bin: x").bad(expect![[r#"
        recipes/init/recipe.yaml:6:12: `cargo.install`: expected an absolute path such as `/usr/bin/tool`, without `..`, a `/` at its end, or white space, found "init"
         6 |   install: init
           |            ^
        recipes/init/recipe.yaml:7:3: unknown key `bin` in `cargo`
         7 |   bin: x
           |   ^
          hint: keys allowed here: `source`, `package`, `binary`, `features` and `install`
        2 problems"#]]);
}

#[test]
fn no_init() {
    good().edit(INIT, "/init", "/sbin/init").bad(expect![[r#"
        profiles/layers/base.yaml:6:12: no recipe brings /init, which the kernel starts as process 1
         6 |   recipes: [init]
           |            ^
          hint: add a recipe that installs /init, such as `vtl2-init`
        1 problem"#]]);
}

#[test]
fn two_inits() {
    with_tools().edit(TOOLS, "/etc/motd", "/init").bad(expect![[r#"
        recipes/tools/recipe.yaml:10:13: `/init` is brought twice
         10 |     target: /init
            |             ^
          recipes/init/recipe.yaml:6:12: first here
          hint: remove one, or choose another path
        1 problem"#]]);
}

#[test]
fn rdinit_of_nothing() {
    good().edit(DEMO, "[panic=-1]", "[rdinit=/sbin/start]").bad(expect![[r#"
        profiles/layers/base.yaml:6:12: the command line has rdinit=/sbin/start, which no recipe brings
         6 |   recipes: [init]
           |            ^
          hint: /init is started without that option
        1 problem"#]]);
}

#[test]
fn file_below_a_file() {
    with_tools().edit(TOOLS, "/etc/motd", "/usr/bin/tool/motd").bad(expect![[r#"
        recipes/tools/recipe.yaml:10:13: `/usr/bin/tool/motd` lies below `/usr/bin/tool`, which is no folder
         10 |     target: /usr/bin/tool/motd
            |             ^
          recipes/tools/recipe.yaml:6:14: brought here
        1 problem"#]]);
}

#[test]
fn folder_with_two_modes() {
    with_tools().edit(TOOLS, "  - path: /var\n", "  - path: /var\n    mode: \"0700\"\n  - path: /var\n").bad(
        expect![[r#"
            recipes/tools/recipe.yaml:14:11: `/var` is brought twice
             14 |   - path: /var
                |           ^
              recipes/tools/recipe.yaml:12:11: first here
              hint: remove one, or choose another path
            1 problem"#]],
    );
}

#[test]
fn packages_without_a_pin_or_for_another_architecture() {
    let packages = "packages:\n  - {arch: x86_64, pin: stab, member: a, install: /a}\n  \
                    - {arch: aarch64, pin: stub, member: a, install: /a}\nprebuilt:\n";
    good().edit(TOOLS, "prebuilt:\n", packages).bad(expect![[r#"
        recipes/tools/recipe.yaml:3:25: there is no pin `stab` in profiles/pins.yaml
         3 |   - {arch: x86_64, pin: stab, member: a, install: /a}
           |                         ^
          hint: did you mean `stub`?
        recipes/tools/recipe.yaml:4:26: the package of `stub` is for amd64, and this entry for aarch64
         4 |   - {arch: aarch64, pin: stub, member: a, install: /a}
           |                          ^
          profiles/pins.yaml:21:21: set here
        2 problems"#]]);
}

#[test]
fn packages_for_another_architecture_alone() {
    let packages = "packages:\n  - {arch: aarch64, pin: linux, member: a, install: /a}\nprebuilt:\n";
    with_tools().edit(TOOLS, "prebuilt:\n", packages).bad(expect![[r#"
        recipes/tools/recipe.yaml:3:3: the recipe `tools` has no program for x86_64
         3 |   - {arch: aarch64, pin: linux, member: a, install: /a}
           |   ^
          profiles/layers/base.yaml:6:12: a profile of that architecture uses it
          hint: add an entry with `arch: x86_64`
        1 problem"#]]);
}

#[test]
fn a_file_of_a_package_is_brought_twice() {
    let packages = "packages:\n  - {arch: x86_64, pin: stub, member: a, install: /init}\nprebuilt:\n";
    with_tools().edit(TOOLS, "prebuilt:\n", packages).bad(expect![[r#"
        recipes/tools/recipe.yaml:3:51: `/init` is brought twice
         3 |   - {arch: x86_64, pin: stub, member: a, install: /init}
           |                                                   ^
          recipes/init/recipe.yaml:6:12: first here
          hint: remove one, or choose another path
        1 problem"#]]);
}

#[test]
fn cargo_and_prebuilt() {
    good()
        .edit(
            TOOLS,
            "prebuilt:",
            "cargo: {source: {path: crate}, package: a, binary: a, install: /a}\nprebuilt:",
        )
        .write("crate/Cargo.toml", "")
        .write("crate/Cargo.lock", "")
        .bad(expect![[r#"
            recipes/tools/recipe.yaml:4:3: a recipe has `cargo` or `prebuilt`, not both: it brings one program, made in one way
             4 |   - arch: x86_64
               |   ^
              recipes/tools/recipe.yaml:2:8: `cargo` is here
              hint: make two recipes of it
            1 problem"#]]);
}

#[test]
fn crate_not_there() {
    good().remove("recipes/init/Cargo.lock").remove("recipes/init/Cargo.toml").bad(expect![[r#"
        recipes/init/recipe.yaml:3:3: there is no file recipes/init/Cargo.toml (the crate)
         3 |   package: init
           |   ^
          hint: say where the crate is with `source: {path: …}` or `{git: …}`
        1 problem"#]]);
}

#[test]
fn file_not_there() {
    good().edit(TOOLS, "source: motd", "source: motto").bad(expect![[r#"
        recipes/tools/recipe.yaml:9:13: there is no file recipes/tools/motto
         9 |   - source: motto
           |             ^
        1 problem"#]]);
}

#[test]
fn nothing_in_it() {
    good().write(TOOLS, "description: A few tools.\n").bad(expect![[r#"
        recipes/tools/recipe.yaml:1:1: the recipe brings nothing into the initramfs
         1 | description: A few tools.
           | ^
          hint: add `cargo`, `prebuilt`, `packages`, `files`, `directories`, `links` or `nodes`
        1 problem"#]]);
}

#[test]
fn no_program_for_the_architecture() {
    with_tools().edit(TOOLS, "arch: x86_64", "arch: aarch64").bad(expect![[r#"
        recipes/tools/recipe.yaml:3:3: the recipe `tools` has no program for x86_64
         3 |   - arch: aarch64
           |   ^
          profiles/layers/base.yaml:6:12: a profile of that architecture uses it
          hint: add an entry with `arch: x86_64`
        1 problem"#]]);
}

#[test]
fn mode_without_quotes() {
    good()
        .edit(TOOLS, "install: /usr/bin/tool\n    mode: \"0755\"", "install: /usr/bin/tool\n    mode: 0755")
        .bad(expect![[r#"
            recipes/tools/recipe.yaml:7:11: `prebuilt.0.mode`: expected a file mode: four octal digits in quotes such as "0644", found the number `0755`
             7 |     mode: 0755
               |           ^
              hint: for text, put it in quotes: "0755"
            1 problem"#]]);
}

#[test]
fn device_number_too_large() {
    good().edit(TOOLS, "major: 5", "major: 5000").bad(expect![[r#"
        recipes/tools/recipe.yaml:20:12: `nodes.0.major`: expected a whole number from 0 to 4095, found `5000`
         20 |     major: 5000
            |            ^
        1 problem"#]]);
}

#[test]
fn path_with_dots() {
    good().edit(TOOLS, "/etc/motd", "/etc/../motd").bad(expect![[r#"
        recipes/tools/recipe.yaml:10:13: `files.0.target`: expected an absolute path such as `/usr/bin/tool`, without `..`, a `/` at its end, or white space, found "/etc/../motd"
         10 |     target: /etc/../motd
            |             ^
        1 problem"#]]);
}

#[test]
fn node_of_unknown_type() {
    good().edit(TOOLS, "type: char", "type: chr").bad(expect![[r#"
        recipes/tools/recipe.yaml:19:11: `nodes.0.type`: `chr` is not known here, expected `char` or `block`
         19 |     type: chr
            |           ^
          hint: did you mean `char`?
        1 problem"#]]);
}

/// The good tree with both recipes in every profile.
fn with_tools() -> Tree {
    good().edit(BASE, "[init]", "[init, tools]")
}

#[test]
fn both_recipes_together_are_fine() {
    with_tools().specs();
}
