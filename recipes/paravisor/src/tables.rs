//! The guest's machine as ACPI describes it: one processor, and two ports to end by. Reduced hardware, so that no
//! kernel looks for timers and interrupt controllers of a PC, which this machine hasn't.

use acpi_tables::{
    Aml,
    aml::{Name, Package},
    fadt::{FADTBuilder, Flags},
    gas::{AccessSize, AddressSpace, GAS},
    madt::{EnabledStatus, LocalInterruptController, MADT, ProcessorLocalApic},
    rsdp::Rsdp,
    sdt::Sdt,
    xsdt::XSDT,
};

pub const RESET_PORT: u16 = 0xcf9;
pub const RESET_VALUE: u8 = 0x06;
pub const SLEEP_CONTROL_PORT: u16 = 0x600;
const SLEEP_STATUS_PORT: u16 = 0x601;
/// Bit of the sleep control register: do it (ACPI 6.5, 4.8.3.7).
pub const SLEEP_ENABLE: u8 = 1 << 5;

const OEM: [u8; 6] = *b"VTLFRG";
const TABLE: [u8; 8] = *b"PARAVISR";
const REVISION: u32 = 1;
const LOCAL_APIC: u32 = 0xfee0_0000;

/// All tables, one behind the other, as they lie at `address`. The first is the root pointer.
pub fn acpi(address: u64) -> Vec<u8> {
    // Room for the root pointer, which needs to know where the others are.
    let mut bytes = vec![0; 64];
    let mut add = |table: &dyn Aml| {
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let at = address + bytes.len() as u64;
        table.to_aml_bytes(&mut bytes);
        at
    };
    let dsdt = add(&dsdt());
    let fadt = add(&fadt(dsdt).finalize());
    let mut madt = MADT::new(OEM, TABLE, REVISION, LocalInterruptController::Address(LOCAL_APIC));
    madt.add_structure(ProcessorLocalApic::new(0, 0, EnabledStatus::Enabled));
    let madt = add(&madt);
    let mut xsdt = XSDT::new(OEM, TABLE, REVISION);
    xsdt.add_entry(fadt);
    xsdt.add_entry(madt);
    let xsdt = add(&xsdt);
    let mut root = Vec::new();
    Rsdp::new(OEM, xsdt).to_aml_bytes(&mut root);
    bytes[..root.len()].copy_from_slice(&root);
    bytes
}

/// `Name (\_S5, Package () {5, 0, 0, 0})`: how to switch off.
fn dsdt() -> Sdt {
    let mut dsdt = Sdt::new(*b"DSDT", 36, 2, OEM, TABLE, REVISION);
    let mut code = Vec::new();
    Name::new("_S5_".into(), &Package::new(vec![&5_u8, &0_u8, &0_u8, &0_u8])).to_aml_bytes(&mut code);
    dsdt.append_slice(&code);
    dsdt
}

fn fadt(dsdt: u64) -> FADTBuilder {
    // No VGA, no CMOS clock (ACPI 6.5, 5.2.9.3); and no keyboard controller, whose bit is 0.
    const NO_VGA: u16 = 1 << 2;
    const NO_CLOCK: u16 = 1 << 5;
    let port = |number: u16| GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, number.into());
    let mut fadt = FADTBuilder::new(OEM, TABLE, REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Headless);
    fadt.iapc_boot_arch = (NO_VGA | NO_CLOCK).into();
    fadt.reset_reg = port(RESET_PORT);
    fadt.reset_value = RESET_VALUE;
    fadt.sleep_control_reg = port(SLEEP_CONTROL_PORT);
    fadt.sleep_status_reg = port(SLEEP_STATUS_PORT);
    fadt
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// Follows the pointers as a kernel does, and adds up what has to give 0.
    #[test]
    fn tables_lead_to_each_other_and_add_up() {
        const ADDRESS: u64 = 0x1_3000;
        let bytes = acpi(ADDRESS);
        let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!((&bytes[..8], sum(&bytes[..20]), sum(&bytes[..36])), (&b"RSD PTR "[..], 0, 0));
        let table = |at: u64| {
            let at = (at - ADDRESS) as usize;
            let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            assert_eq!(sum(&bytes[at..at + length]), 0, "{:?}", &bytes[at..at + 4]);
            &bytes[at..at + length]
        };
        let xsdt = table(word(&bytes, 24));
        assert_eq!((&xsdt[..4], xsdt.len()), (&b"XSDT"[..], 36 + 16));
        let (fadt, madt) = (table(word(xsdt, 36)), table(word(xsdt, 44)));
        assert_eq!((&fadt[..4], &madt[..4]), (&b"FACP"[..], &b"APIC"[..]));
        assert_eq!(&madt[44..], [0, 8, 0, 0, 1, 0, 0, 0]);
        let dsdt = table(word(fadt, 140));
        assert_eq!(&dsdt[..4], b"DSDT");
        assert_eq!(&dsdt[36..], b"\x08_S5_\x12\x07\x04\x0a\x05\0\0\0");
    }
}
