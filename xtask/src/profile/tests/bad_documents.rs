//! What is no document at all, or more of YAML than is read.

use expect_test::expect;

use super::{DEMO, good};

#[test]
fn wrong_indentation() {
    good().edit(DEMO, "  fragments: [guest]", "   fragments: [guest]").bad(expect![[r#"
        profiles/demo.yaml:7:4: not valid YAML: while parsing a block mapping, did not find expected key
         7 |    fragments: [guest]
           |    ^
          hint: is the indentation right, a space behind each `:`, and every bracket and quote closed?
        1 problem"#]]);
}

#[test]
fn bracket_left_open() {
    good().edit(DEMO, "[guest]", "[guest").bad(expect![[r#"
        profiles/demo.yaml:8:15: not valid YAML: illegal placement of ':' indicator
         8 |   command-line: [panic=-1]
           |               ^
          hint: is the indentation right, a space behind each `:`, and every bracket and quote closed?
        1 problem"#]]);
}

#[test]
fn colon_without_space() {
    good().edit(DEMO, "vtl: 0", "vtl:0").bad(expect![[r#"
        profiles/demo.yaml:4:1: not valid YAML: simple key expect ':'
         4 | firmware: uefi
           | ^
          hint: is the indentation right, a space behind each `:`, and every bracket and quote closed?
        1 problem"#]]);
}

#[test]
fn colon_in_a_value() {
    good().edit(DEMO, "A guest.", "A guest: small").bad(expect![[r#"
        profiles/demo.yaml:1:21: not valid YAML: mapping values are not allowed in this context
         1 | description: A guest: small
           |                     ^
          hint: is the indentation right, or does a value contain `: ` and need quotes?
        1 problem"#]]);
}

#[test]
fn quote_left_open() {
    good().edit(DEMO, "A guest.", "\"A guest.").bad(expect![[r#"
        profiles/demo.yaml:1:14: not valid YAML: invalid indentation in quoted scalar
         1 | description: "A guest.
           |              ^
          hint: a closing quote is missing
        1 problem"#]]);
}

#[test]
fn tab() {
    good().edit(DEMO, "  fragments: [guest]", "\tfragments: [guest]").bad(expect![[r#"
        profiles/demo.yaml:7:1: a tab in the indentation; YAML allows only spaces there
         7 | �fragments: [guest]
           | ^
          hint: replace the tab with spaces
        1 problem"#]]);
}

#[test]
fn key_twice() {
    good().edit(DEMO, "vtl: 0", "vtl: 0\nvtl: 2").bad(expect![[r#"
        profiles/demo.yaml:4:1: the key `vtl` stands twice in this map
         4 | vtl: 2
           | ^
          profiles/demo.yaml:3:1: first here
          hint: keep one of them
        1 problem"#]]);
}

#[test]
fn anchor_and_alias() {
    good().edit(DEMO, "[guest]", "&list [guest]").edit(DEMO, "[panic=-1]", "*list").bad(expect![[r#"
        profiles/demo.yaml:7:14: an anchor (`&name`) is refused: a value says itself what it is, where it is read
         7 |   fragments: &list [guest]
           |              ^
          hint: write the value out, or share it through a layer
        profiles/demo.yaml:8:17: an alias (`*name`) is refused: a value says itself what it is, where it is read
         8 |   command-line: *list
           |                 ^
          hint: write the value out, or share it through a layer
        2 problems"#]]);
}

#[test]
fn tag() {
    good().edit(DEMO, "vtl: 0", "vtl: !!int 0").bad(expect![[r#"
        profiles/demo.yaml:3:6: a tag (`tag:yaml.org,2002:!int`) is refused: a value says itself what it is, where it is read
         3 | vtl: !!int 0
           |      ^
          hint: remove it: the type of a value follows from its key
        1 problem"#]]);
}

#[test]
fn merge_key() {
    good().edit(DEMO, "source: {pin: linux}", "<<: {source: {pin: linux}}").bad(expect![[r#"
        profiles/demo.yaml:6:3: a merge key (`<<`) is refused: it is no part of YAML 1.2
         6 |   <<: {source: {pin: linux}}
           |   ^
          hint: write the keys out, or share them through a layer (`inherit`)
        1 problem"#]]);
}

#[test]
fn second_document() {
    good().edit(DEMO, "disk:", "---\ndisk:").bad(expect![[r#"
        profiles/demo.yaml:9:1: a second document in the file (`---`)
         9 | ---
           | ^
          hint: one file, one document: move the rest to a file of its own
        1 problem"#]]);
}

#[test]
fn empty() {
    good().write(DEMO, "# Nothing yet.\n").bad(expect![[r#"
        profiles/demo.yaml: the file is empty
          hint: write something, or delete the file
        1 problem"#]]);
}

#[test]
fn latin_1() {
    good().write(DEMO, b"description: A guest\ninherit: [b\xe4se]\n").bad(expect![[r#"
        profiles/demo.yaml:2:12: not UTF-8 text: byte 0xe4
         2 | inherit: [b�se]
           |            ^
          hint: save the file in UTF-8
        1 problem"#]]);
}

#[test]
fn nested_without_end() {
    good().write(DEMO, "[".repeat(5000)).bad(expect![[r#"
        profiles/demo.yaml:1:256: not valid YAML: recursion limit exceeded
         1 | …[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
           |                                                              ^
        1 problem"#]]);
}

#[test]
fn too_large() {
    good().write(DEMO, "# padding\n".repeat(200_000)).bad(expect![[r#"
        profiles/demo.yaml: the file is 2000000 bytes large, the limit is 1048576
          hint: is this the file you meant?
        1 problem"#]]);
}

#[test]
fn empty_key() {
    good().edit(DEMO, "vtl: 0", "? \n: 0").bad(expect![[r#"
        profiles/demo.yaml:4:1: a key that is no text
         4 | : 0
           | ^
          hint: write the key in front of the `:`
        1 problem"#]]);
}

#[test]
fn long_line() {
    good()
        .edit(DEMO, "[panic=-1]", &format!("[panic=-1, {}, 'two words']", "long=".repeat(40)))
        .bad(expect![[r#"
            profiles/demo.yaml:8:230: `kernel.command-line.2`: expected one option of the kernel command line: printable ASCII without spaces; a list item for each, found "two words"
             8 | …ng=long=long=long=long=long=long=long=long=long=long=long=, 'two words']
               |                                                              ^
            1 problem"#]]);
}

#[test]
fn a_list_for_a_profile() {
    good().write(DEMO, "- arch: x86_64\n").bad(expect![[r#"
        profiles/demo.yaml:1:1: expected a map with the keys `description`, `inherit`, `arch`, `vtl`, `firmware`, `console`, `kernel`, `device-tree`, `payload`, `igvm`, `disk`, `release` and `pair`, found a list
         1 | - arch: x86_64
           | ^
          hint: remove the dashes in front of the keys
        1 problem"#]]);
}

#[test]
fn nested_too_deep() {
    let text: String = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    good().write(DEMO, text).bad(expect![[r#"
        profiles/demo.yaml:33:33: nested more than 32 levels deep
         33 |                                 a:
            |                                 ^
        1 problem"#]]);
}

#[test]
fn alias_as_a_key() {
    good().edit(DEMO, "vtl: 0", "vtl: &v 0\n*v : 1").bad(expect![[r#"
        profiles/demo.yaml:3:6: an anchor (`&name`) is refused: a value says itself what it is, where it is read
         3 | vtl: &v 0
           |      ^
          hint: write the value out, or share it through a layer
        profiles/demo.yaml:4:1: a key that is no text
         4 | *v : 1
           | ^
          hint: write the key in front of the `:`
        profiles/demo.yaml:4:1: an alias (`*name`) is refused: a value says itself what it is, where it is read
         4 | *v : 1
           | ^
          hint: write the value out, or share it through a layer
        3 problems"#]]);
}
