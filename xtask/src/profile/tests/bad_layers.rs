//! Layers that are not there, come twice, or come back to where they began.

use expect_test::expect;

use super::{BASE, DEMO, PARA, good};

#[test]
fn missing_layer() {
    good().edit(DEMO, "[base]", "[bsae]").bad(expect![[r#"
        profiles/demo.yaml:2:11: there is no layer `bsae` (no file profiles/layers/bsae.yaml)
         2 | inherit: [bsae]
           |           ^
          hint: did you mean `base`?
        1 problem"#]]);
}

#[test]
fn missing_layer_like_no_other() {
    good().edit(DEMO, "[base]", "[base, everything]").bad(expect![[r#"
        profiles/demo.yaml:2:17: there is no layer `everything` (no file profiles/layers/everything.yaml)
         2 | inherit: [base, everything]
           |                 ^
          hint: layers there are: `base`
        1 problem"#]]);
}

#[test]
fn profile_as_layer() {
    good().edit(DEMO, "[base]", "[base, para]").bad(expect![[r#"
        profiles/demo.yaml:2:17: there is no layer `para` (no file profiles/layers/para.yaml)
         2 | inherit: [base, para]
           |                 ^
          hint: `para` is a profile, and only layers can be inherited: move what both need into one
        1 problem"#]]);
}

#[test]
fn layer_of_itself() {
    good().edit(BASE, "arch:", "inherit: [base]\narch:").bad(expect![[r#"
        profiles/layers/base.yaml:1:11: layers inherit each other in a circle: `base` → `base`
         1 | inherit: [base]
           |           ^
          profiles/layers/base.yaml:1:11: inherits `base`
          hint: remove one of these lines
        1 problem"#]]);
}

#[test]
fn circle() {
    good()
        .edit(BASE, "arch:", "inherit: [one]\narch:")
        .write("profiles/layers/one.yaml", "inherit: [two]\n")
        .write("profiles/layers/two.yaml", "inherit: [base]\n")
        .bad(expect![[r#"
            profiles/layers/base.yaml:1:11: layers inherit each other in a circle: `base` → `one` → `two` → `base`
             1 | inherit: [one]
               |           ^
              profiles/layers/base.yaml:1:11: inherits `one`
              profiles/layers/one.yaml:1:11: inherits `two`
              profiles/layers/two.yaml:1:11: inherits `base`
              hint: remove one of these lines
            1 problem"#]]);
}

#[test]
fn layer_named_twice() {
    good().edit(DEMO, "[base]", "[base, base]").bad(expect![[r#"
        profiles/demo.yaml:2:17: the layer `base` is reached twice
         2 | inherit: [base, base]
           |                 ^
          profiles/demo.yaml:2:11: one way: inherits `base`
          profiles/demo.yaml:2:17: the other way: inherits `base`
          hint: inherit it once, in front of everything that builds on it
        1 problem"#]]);
}

#[test]
fn diamond() {
    good()
        .edit(DEMO, "[base]", "[one, two]")
        .write("profiles/layers/one.yaml", "inherit: [base]\n")
        .write("profiles/layers/two.yaml", "inherit: [base]\n")
        .bad(expect![[r#"
            profiles/layers/two.yaml:1:11: the layer `base` is reached twice
             1 | inherit: [base]
               |           ^
              profiles/demo.yaml:2:11: one way: inherits `one`
              profiles/layers/one.yaml:1:11: one way: inherits `base`
              profiles/demo.yaml:2:16: the other way: inherits `two`
              profiles/layers/two.yaml:1:11: the other way: inherits `base`
              hint: inherit it once, in front of everything that builds on it
            1 problem"#]]);
}

#[test]
fn diamond_below_a_layer() {
    good()
        .edit(DEMO, "[base]", "[top]")
        .edit(PARA, "[base]", "[top]")
        .write("profiles/layers/top.yaml", "inherit: [one, two]\n")
        .write("profiles/layers/one.yaml", "inherit: [base]\n")
        .write("profiles/layers/two.yaml", "inherit: [base]\n")
        .bad(expect![[r#"
            profiles/layers/two.yaml:1:11: the layer `base` is reached twice
             1 | inherit: [base]
               |           ^
              profiles/layers/top.yaml:1:11: one way: inherits `one`
              profiles/layers/one.yaml:1:11: one way: inherits `base`
              profiles/layers/top.yaml:1:16: the other way: inherits `two`
              profiles/layers/two.yaml:1:11: the other way: inherits `base`
              hint: inherit it once, in front of everything that builds on it
            1 problem"#]]);
}

#[test]
fn wrong_in_a_shared_layer() {
    good().edit(BASE, "[core]", "core").bad(expect![[r#"
        profiles/layers/base.yaml:4:14: `kernel.fragments`: expected a list of strings, found the string "core"
         4 |   fragments: core
           |              ^
          hint: a list with one item is `[core]`
        1 problem"#]]);
}

#[test]
fn wrong_in_a_layer_nobody_uses() {
    good().write("profiles/layers/spare.yaml", "arch: mips\n").bad(expect![[r#"
        profiles/layers/spare.yaml:1:7: `arch`: `mips` is not known here, expected `x86_64` or `aarch64`
         1 | arch: mips
           |       ^
        1 problem"#]]);
}

#[test]
fn fragment_in_layer_and_profile() {
    good().edit(DEMO, "[guest]", "[guest, core]").bad(expect![[r#"
        profiles/demo.yaml:7:22: `core` stands twice in `kernel.fragments`
         7 |   fragments: [guest, core]
           |                      ^
          profiles/layers/base.yaml:4:15: first here
          hint: remove one of them; lists of layers are appended
        1 problem"#]]);
}

#[test]
fn option_twice() {
    good().edit(DEMO, "[panic=-1]", "[panic=-1, quiet, panic=-1]").bad(expect![[r#"
        profiles/demo.yaml:8:35: `panic=-1` stands twice in `kernel.command-line`
         8 |   command-line: [panic=-1, quiet, panic=-1]
           |                                   ^
          profiles/demo.yaml:8:18: first here
          hint: remove one of them; lists of layers are appended
        1 problem"#]]);
}

#[test]
fn nothing_but_a_description() {
    good().write(DEMO, "description: A guest.\n").bad(expect![[r#"
        profiles/demo.yaml:1:1: nothing sets `arch`, `vtl`, `firmware`, `console`, `kernel.source`, `kernel.fragments`, `payload.recipes` and `disk.efi-stub`
         1 | description: A guest.
           | ^
          hint: write it in this file, or inherit a layer that sets `arch` (`base`), `console` (`base`), `kernel.fragments` (`base`), `payload.recipes` (`base`), `disk.efi-stub` (`base`)
        1 problem"#]]);
}

#[test]
fn paravisor_without_device_tree() {
    let tree = "device-tree:\n  machine: hyperv-vtl2\n  cpus: 4\n  memory: 1GiB\n";
    good().edit(PARA, tree, "").bad(expect![[r#"
        profiles/para.yaml:1:1: nothing sets `device-tree.machine`
         1 | description: A paravisor.
           | ^
          hint: write it in this file
        1 problem"#]]);
}

#[test]
fn device_tree_without_machine() {
    good().edit(PARA, "  machine: hyperv-vtl2\n", "").bad(expect![[r#"
        profiles/para.yaml:1:1: nothing sets `device-tree.machine`
         1 | description: A paravisor.
           | ^
          hint: write it in this file
        1 problem"#]]);
}

#[test]
fn file_with_another_extension() {
    good().write("profiles/other.yml", "arch: x86_64\n").bad(expect![[r#"
        profiles/other.yml: is not read: the names of these files end in .yaml
          hint: rename the file
        1 problem"#]]);
}

#[test]
fn file_name_with_a_space() {
    good().remove(DEMO).write("profiles/my guest.yaml", include_str!("good/demo.yaml")).bad(expect![[r#"
        profiles/my guest.yaml: the file's name makes no profile name: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`
          hint: rename the file
        1 problem"#]]);
}

#[test]
fn path_for_a_layer() {
    good().edit(DEMO, "[base]", "[base, ../pins]").bad(expect![[r#"
        profiles/demo.yaml:2:17: `inherit.1`: expected a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`, found "../pins"
         2 | inherit: [base, ../pins]
           |                 ^
        1 problem"#]]);
}
