use expect_test::{Expect, expect};

use super::*;

/// Checks the result of composing files a, b, c … of the given texts.
fn check<const N: usize>(texts: [&str; N], expected: Expect) {
    let names = ["a", "b", "c"].into_iter().map(|name| Arc::from(format!("configs/{name}.config")));
    let texts = texts.map(|text| format!("# Subject.\n{text}").into_bytes());
    let sources: Vec<(Arc<str>, Vec<u8>)> = names.zip(texts).collect();
    let shown = match compose_sources(&sources) {
        Ok(composed) => {
            composed.requests().map(|r| format!("{} {}={}\n", r.origin, r.symbol, r.value)).collect()
        }
        Err(problems) => problems.to_string(),
    };
    expected.assert_eq(&shown);
}

#[test]
fn what_agrees() {
    check(
        ["CONFIG_B=y\nCONFIG_A=m\n", "CONFIG_C=\"x\"\n"],
        expect![[r#"
        configs/a.config:3:1 CONFIG_A=m
        configs/a.config:2:1 CONFIG_B=y
        configs/b.config:2:1 CONFIG_C="x"
    "#]],
    );
    // The same value twice is allowed, in any spelling; the first is the origin.
    check(
        ["CONFIG_A=n\nCONFIG_N=0x0A\n", "# CONFIG_A is not set\nCONFIG_N=0xa\n"],
        expect![[r#"
        configs/a.config:2:1 CONFIG_A=n
        configs/a.config:3:1 CONFIG_N=0xa
    "#]],
    );
    check(
        ["CONFIG_A=n\n", "# override: b knows better\nCONFIG_A=y\n", "CONFIG_A=y\n"],
        expect![[r#"
        configs/b.config:3:1 CONFIG_A=y
    "#]],
    );
}

#[test]
fn conflicts() {
    check(
        ["CONFIG_A=y\n", "# CONFIG_A is not set\n"],
        expect![[r#"
        configs/b.config:2:1: CONFIG_A is n here, but y in an earlier fragment
         2 | # CONFIG_A is not set
           | ^
          configs/a.config:2:1: earlier: CONFIG_A=y
          hint: if it is meant, put above the line: # override: <reason>
        1 problem"#]],
    );
    check(
        ["CONFIG_A=16\n", "CONFIG_A=0x10\n"],
        expect![[r#"
        configs/b.config:2:1: CONFIG_A is 0x10 here, but 16 in an earlier fragment
         2 | CONFIG_A=0x10
           | ^
          configs/a.config:2:1: earlier: CONFIG_A=16
          hint: if it is meant, put above the line: # override: <reason>
        1 problem"#]],
    );
    // An override speaks for its own line only.
    check(
        ["CONFIG_A=y\n", "# override: off\nCONFIG_A=n\n", "CONFIG_A=y\n"],
        expect![[r#"
        configs/c.config:2:1: CONFIG_A is y here, but n in an earlier fragment
         2 | CONFIG_A=y
           | ^
          configs/b.config:3:1: earlier: CONFIG_A=n
          hint: if it is meant, put above the line: # override: <reason>
        1 problem"#]],
    );
}

#[test]
fn overrides_of_nothing() {
    check(
        ["CONFIG_B=y\n", "# override: off\nCONFIG_A=n\n"],
        expect![[r#"
        configs/b.config:3:1: an override is announced, but no earlier fragment sets the symbol otherwise
         3 | CONFIG_A=n
           | ^
          hint: drop `override:` from the comment, or correct the order of the fragments
        1 problem"#]],
    );
    check(
        ["CONFIG_A=n\n", "# override: off\nCONFIG_A=n\n"],
        expect![[r#"
        configs/b.config:3:1: an override is announced, but no earlier fragment sets the symbol otherwise
         3 | CONFIG_A=n
           | ^
          configs/a.config:2:1: the same value: CONFIG_A=n
          hint: drop `override:` from the comment, or correct the order of the fragments
        1 problem"#]],
    );
}

#[test]
fn problems_of_all_files_together() {
    check(
        ["CONFIG_A=Y\nCONFIG_B=y\n", "# override: off\nCONFIG_A=n\n", "CONFIG_B=m\n"],
        expect![[r#"
        configs/a.config:2:10: not a value: expected y, m, n, a number, 0x and a hexadecimal number, or a "string"
         2 | CONFIG_A=Y
           |          ^
          hint: write y
        configs/c.config:2:1: CONFIG_B is m here, but y in an earlier fragment
         2 | CONFIG_B=m
           | ^
          configs/a.config:3:1: earlier: CONFIG_B=y
          hint: if it is meant, put above the line: # override: <reason>
        2 problems"#]],
    );
}

#[test]
fn allconfig_does_not_depend_on_the_split() {
    let text = |texts: &[&str]| {
        let source = |text: &&str| (Arc::from("x"), format!("# Subject.\n{text}").into_bytes());
        compose_sources(&texts.iter().map(source).collect::<Vec<_>>()).unwrap().to_allconfig()
    };
    let whole = text(&["CONFIG_C=y\nCONFIG_A=n\nCONFIG_B=\"a \\\"b\\\"\"\nCONFIG_D=-1\nCONFIG_E=0x10\n"]);
    assert_eq!(
        whole,
        text(&[
            "CONFIG_B=\"a \\\"b\\\"\"\nCONFIG_D=-1\n",
            "CONFIG_E=0x10\n# CONFIG_A is not set\nCONFIG_C=y\n"
        ])
    );
    expect![[r##"
        # CONFIG_A is not set
        CONFIG_B="a \"b\""
        CONFIG_C=y
        CONFIG_D=-1
        CONFIG_E=0x10
    "##]]
    .assert_eq(&whole);
}

/// The fragments of this repository are in order, each for itself.
#[test]
fn fragments_of_the_repository() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "config") {
            continue;
        }
        let name = format!("configs/{}", path.file_name().unwrap().to_string_lossy());
        let (_, problems) = fragment::parse(&name.into(), &std::fs::read(&path).unwrap());
        assert!(problems.is_empty(), "{problems}");
        read += 1;
    }
    assert!(read > 0, "no fragments in {folder}");
}

#[test]
fn what_is_overridden_is_known() {
    let sources = [("a", "# A.\nCONFIG_A=n\n"), ("b", "# override: b knows better\nCONFIG_A=y\n")];
    let sources = sources.map(|(file, text)| (Arc::from(file), text.as_bytes().to_vec()));
    let composed = compose_sources(&sources).unwrap();
    let overridden: Vec<String> = composed
        .overridden("CONFIG_A")
        .map(|request| format!("{} {}", request.value, request.origin))
        .collect();
    assert_eq!((overridden, composed.overridden("CONFIG_B").count()), (vec!["n a:2:1".to_string()], 0));
}
