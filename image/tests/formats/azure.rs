//! Azure's rules, each by an image that breaks it alone.

use image::inspect::azure::{Outcome, Verdict, verdicts};
use image::inspect::{Report, TableKind};

use crate::inspect::{as_vhd, disk, report};

/// What Azure's pages ask of a kernel.
pub const CONFIGURATION: &str =
    "CONFIG_HYPERV=y\nCONFIG_HYPERV_STORAGE=y\nCONFIG_HYPERV_NET=y\nCONFIG_VFAT_FS=m\nCONFIG_UDF_FS=y\n";

pub fn with_outcome(verdicts: &[Verdict], outcome: Outcome) -> Vec<&'static str> {
    verdicts.iter().filter(|verdict| verdict.outcome == outcome).map(|verdict| verdict.rule).collect()
}

/// Each rule can pass, and fails where an image breaks it alone.
#[test]
fn azures_rules_are_judged_one_by_one() {
    const SIZE: &str = "a disk to boot from has at most 4095 GiB";
    const KERNEL: &str = "the kernel has Hyper-V's drivers";
    const FILES: &str = "the kernel knows VFAT and UDF";
    const SIGNED: &str = "with Secure Boot, the boot program is signed by whom firmware trusts";
    let good = report(&as_vhd(&disk()));
    let check = |report: &Report, configuration: Option<&str>, fails: &[&str], unknown: &[&str]| {
        let verdicts = verdicts(report, configuration);
        assert_eq!(with_outcome(&verdicts, Outcome::Fails), fails);
        assert_eq!(with_outcome(&verdicts, Outcome::Unknown), [&[SIGNED], unknown].concat());
        assert!(verdicts.iter().all(|verdict| !verdict.source.contains("  ")), "{verdicts:?}");
    };
    check(&good, Some(CONFIGURATION), &[], &[]);
    check(&good, None, &[], &[KERNEL, FILES]);
    check(&good, Some(&CONFIGURATION.replace("HYPERV=y", "HYPERV=m")), &[KERNEL], &[]);
    check(&good, Some(&CONFIGURATION.replace("VFAT_FS=m", "VFAT_FS=n")), &[FILES], &[]);
    check(&good, Some(&CONFIGURATION.replace("CONFIG_UDF_FS=y", "")), &[], &[FILES]);
    let with = |change: &dyn Fn(&mut Report)| {
        let mut report = good.clone();
        change(&mut report);
        report
    };
    let sized = |gib: u64| with(&|report| report.disk_bytes = Some(gib << 30));
    check(&sized(1023), Some(CONFIGURATION), &[], &[]);
    let outcome = |report: &Report| {
        let verdicts = verdicts(report, Some(CONFIGURATION));
        verdicts.iter().find(|verdict| verdict.rule == SIZE).unwrap().outcome
    };
    assert_eq!(
        [1023, 1024, 4095, 4096].map(|gib| outcome(&sized(gib))),
        [Outcome::Passes, Outcome::Unknown, Outcome::Unknown, Outcome::Fails]
    );
    let odd = with(&|report| report.disk_bytes = Some((1 << 30) + 512));
    check(&odd, Some(CONFIGURATION), &["the disk has whole MiB"], &[]);
    let mbr = with(&|report| report.table.as_mut().unwrap().kind = TableKind::Mbr);
    check(&mbr, Some(CONFIGURATION), &["the disk has a GUID partition table"], &[]);
    let unformatted = with(&|report| report.volumes.clear());
    check(&unformatted, Some(CONFIGURATION), &["it has an EFI system partition"], &[]);
    let elsewhere = with(&|report| report.programs[0].path = "/EFI/Linux/linux.efi".to_owned());
    check(&elsewhere, Some(CONFIGURATION), &["firmware finds a program to start"], &[]);
}
