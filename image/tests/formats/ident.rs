use expect_test::expect;
use image::ident::{guid, volume_id};

/// The digests come from `sha256sum`: printf '\1…\1\0disk' | sha256sum.
#[test]
fn identifiers_are_fixed() {
    let seed = [1; 32];
    expect!["5e113d7c-3c62-8239-8897-68b9d0832590"].assert_eq(&guid(&seed, "disk").to_string());
    expect!["8d56bccf-f4a6-856a-9bc2-5368814642c2"].assert_eq(&guid(&seed, "esp").to_string());
    expect!["cfbc568d"].assert_eq(&format!("{:08x}", volume_id(&seed, "esp")));
}

#[test]
fn a_guid_is_of_version_8() {
    for role in ["disk", "esp", "vhd", "root", ""] {
        let guid = guid(&[7; 32], role);
        assert_eq!(guid.get_version_num(), 8);
        assert_eq!(guid.as_bytes()[8] >> 6, 0b10);
    }
}

#[test]
fn seed_and_role_both_matter() {
    let all =
        [guid(&[0; 32], "disk"), guid(&[1; 32], "disk"), guid(&[0; 32], "disk2"), guid(&[0; 32], "DISK")];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[index + 1..].contains(one));
    }
}
