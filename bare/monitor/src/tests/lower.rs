//! A level below: going there, coming back, and what must not go wrong on the way.

use super::*;
use crate::{
    cpuid,
    hypercall::Segment,
    lower::{self, Access, Changes, Intercept, REGISTER_PAGE_BYTES, State},
    msr, register,
    vtl::{Entry, Exit},
};

const ASSIST: u64 = RAM_START + 0x3000;
const REGISTERS: u64 = RAM_START + 0x4000;
const VTL_RETURN: u64 = 0x12;
/// HV_INPUT_VTL: level 0, and that counts.
const LEVEL_0: u64 = 1 << 4 << 32;

fn with_lower() -> (Partition, Fake) {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    partition.config.has_lower = true;
    let set = |partition: &mut Partition, fake: &mut Fake, name, value| {
        partition.set_register(fake, 0, name, value).unwrap();
    };
    set(&mut partition, &mut fake, register::VP_ASSIST_PAGE, ASSIST | 1);
    set(&mut partition, &mut fake, register::REGISTER_PAGE, REGISTERS | 1);
    set(&mut partition, &mut fake, register::VSM_PARTITION_CONFIG, 1 << 12 | 1 << 10);
    (partition, fake)
}

fn vtl_return(partition: &mut Partition, fake: &mut Fake) -> Outcome {
    hypercall(partition, fake, 0, VTL_RETURN, &mut Parameters::new(&[0, 0]))
}

fn state() -> State {
    let mut state =
        State { rip: 0x1000, rflags: 0x202, cr0: 0x8000_0011, efer: 0x500, privilege: 0, ..State::default() };
    state.general = core::array::from_fn(|number| 0x100 + number as u64);
    state.segments[1] = Segment { base: 0, limit: u32::MAX, selector: 0x10, attributes: 0xa09b };
    state
}

fn bytes<const N: usize>(fake: &Fake, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    fake.read(address, &mut bytes).unwrap();
    bytes
}

#[test]
fn down_with_registers_and_up_with_a_message() {
    let (mut partition, mut fake) = with_lower();
    fake.put(ASSIST + 16, &[0xaaaa, 0xcccc]);
    let entry = Entry { rax_rcx: Some([0xaaaa, 0xcccc]), changes: Changes::default() };
    assert_eq!(vtl_return(&mut partition, &mut fake), Outcome::Lower(entry));
    let intercept = Intercept::IoPort {
        port: 0x3f8,
        size: 1,
        is_write: true,
        is_string: false,
        is_repeated: false,
        length: 1,
    };
    partition.enter_upper(&mut fake, 0, &state(), Exit::Intercept(&intercept));
    assert_eq!(fake.get(ASSIST + 8) as u32, 3, "entered for an intercept");
    let message: [u8; 256] = bytes(&fake, ASSIST + 112);
    assert_eq!(message[..5], [0, 0, 1, 0x80, 128]);
    assert_eq!((message[20], message[21], message[22]), (1, 1, 0b1_0100));
    assert_eq!(message[40..48], 0x1000_u64.to_le_bytes());
    assert_eq!((&message[56..59], message[64]), (&[0xf8, 3, 1][..], 0), "port and RAX");
    assert!(fake.reported(&["intercept", "io-port"]));
    // What the page says then goes down again, and only what has changed.
    let page: [u8; REGISTER_PAGE_BYTES] = bytes(&fake, REGISTERS);
    assert_eq!((page[0], page[2], &page[136..138]), (1, 1, &[0, 0x10][..]));
    fake.put(REGISTERS + 136, &[0x1001]);
    fake.write(REGISTERS + 4, &[1 << 1]).unwrap();
    let Outcome::Lower(entry) = vtl_return(&mut partition, &mut fake) else { panic!("goes down again") };
    assert_eq!(entry.changes, Changes { rip: Some(0x1001), ..Changes::default() });
    assert_eq!(bytes::<3>(&fake, REGISTERS)[2], 0, "not valid while the lower level runs");
    partition.enter_upper(&mut fake, 0, &state(), Exit::Interrupt);
    assert_eq!(fake.get(ASSIST + 8) as u32, 2, "entered for an interrupt");
}

#[test]
fn no_way_down_without_a_level_or_pages() {
    let undefined = |partition: &mut Partition, fake: &mut Fake| {
        assert_eq!(vtl_return(partition, fake), Outcome::Undefined);
    };
    let (mut partition, mut fake) = with_lower();
    partition.config.has_lower = false;
    undefined(&mut partition, &mut fake);
    for (name, value) in [
        (register::VP_ASSIST_PAGE, ASSIST),
        (register::VP_ASSIST_PAGE, RAM_END | 1),
        (register::VP_ASSIST_PAGE, u64::MAX),
        (register::VSM_PARTITION_CONFIG, 0),
    ] {
        let (mut partition, mut fake) = with_lower();
        partition.set_register(&mut fake, 0, name, value).unwrap();
        undefined(&mut partition, &mut fake);
        // Nor does coming back write anywhere.
        partition.enter_upper(&mut fake, 0, &state(), Exit::Intercept(&Intercept::Halt));
    }
    // Without a register page nothing changes.
    let (mut partition, mut fake) = with_lower();
    partition.set_register(&mut fake, 0, register::REGISTER_PAGE, u64::MAX).unwrap();
    let Outcome::Lower(entry) = vtl_return(&mut partition, &mut fake) else { panic!("goes down") };
    assert_eq!(entry.changes, Changes::default());
}

/// Every other call leaves the lower level's registers alone.
#[test]
fn only_a_return_goes_down() {
    let (mut partition, mut fake) = with_lower();
    partition.enter_upper(&mut fake, 0, &state(), Exit::Interrupt);
    fake.put(INPUT, &[SELF, SELF_VP, register::VSM_VP_STATUS.into()]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | ONE), ONE);
    assert_eq!(bytes::<3>(&fake, REGISTERS)[2], 1, "still valid");
}

#[test]
fn registers_of_the_lower_level_are_another_processors_affair() {
    let (mut partition, mut fake) = with_lower();
    fake.put(INPUT, &[SELF, SELF_VP | LEVEL_0, register::RIP.into(), 0, 0x1234, 0]);
    assert_eq!(call(&mut partition, &mut fake, 0x51 | ONE), ONE);
    assert_eq!(fake.lower.get(&register::RIP), Some(&[0x1234, 0]));
    fake.put(INPUT, &[SELF, SELF_VP | LEVEL_0, register::RIP.into()]);
    assert_eq!((call(&mut partition, &mut fake, 0x50 | ONE), fake.get(OUTPUT)), (ONE, 0x1234));
    // Not of a processor that may be running there, nor one that isn't known.
    fake.put(INPUT, &[SELF, 1 | LEVEL_0, register::RIP.into()]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | ONE), 5);
    fake.put(INPUT, &[SELF, SELF_VP | LEVEL_0, 0x7777]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | ONE), 5);
}

#[test]
fn leaves_of_cpuid_come_when_asked_for() {
    let (mut partition, mut fake) = with_lower();
    let mut install = |leaf: u64, kind: u64| {
        fake.put(INPUT, &[SELF, 4 | kind << 32, leaf]);
        call(&mut partition, &mut fake, 0x4d)
    };
    assert_eq!((install(1, 2), install(1, 2)), (0, 0));
    assert_eq!((install(0, 0), install(0, 1), install(0, 8)), (0, 0, 5));
    let more = (100..200).map(|leaf| install(leaf, 2)).collect::<Vec<_>>();
    assert_eq!((more[30], more[31]), (0, 0x13), "32 are the most");
    assert!(partition.intercepts_cpuid(1) && partition.intercepts_cpuid(0x4000_0100));
    assert!(!partition.intercepts_cpuid(0) && !partition.intercepts_cpuid(0x4000_0003));
}

#[test]
fn the_lower_level_asks_for_little() {
    let (mut partition, _) = with_lower();
    for undefined in [0x11, 0x12, 0x12 | 1 << 32] {
        assert_eq!(partition.lower_hypercall(undefined), None);
    }
    assert_eq!(partition.lower_hypercall(0x51 | ONE), Some(2));
    let config = partition.config;
    let [_, _, ecx, _] = cpuid::answer_lower(&config, 1, 0, [u32::MAX; 4], 0);
    assert_eq!((ecx >> 31, ecx >> 26 & 1, ecx >> 5 & 1), (1, 0, 0), "a guest without XSAVE and VMX");
    assert_eq!(cpuid::answer_lower(&config, 0x8000_0001, 0, [u32::MAX; 4], 0)[2] & 1 << 2, 0, "nor SVM");
    assert_eq!(cpuid::answer_lower(&config, 0x4000_0003, 0, [0; 4], 0)[1], 0, "no privileges");
    assert_eq!(msr::read_lower(&partition, 3, 0x4000_0002), Some(3));
    assert_eq!(msr::read_lower(&partition, 0, 0x4000_0001), None);
}

/// Messages and pages of any state, for any intercept, are whole; any page is read.
#[test]
fn whatever_the_lower_level_does() {
    let mut state = state();
    state.pending_interruption = 1;
    state.is_in_interrupt_shadow = true;
    state.cr8 = u64::MAX;
    let all = [
        Intercept::IoPort {
            port: u16::MAX,
            size: 255,
            is_write: false,
            is_string: true,
            is_repeated: true,
            length: 255,
        },
        Intercept::Msr { number: u32::MAX, is_write: false },
        Intercept::Cpuid { answer: [u32::MAX; 4] },
        Intercept::Memory { address: u64::MAX, access: Access::Execute },
        Intercept::Halt,
        Intercept::InterruptionDeliverable,
        Intercept::UnrecoverableException,
        Intercept::InvalidRegister,
    ];
    for (number, intercept) in all.iter().enumerate() {
        assert_eq!(intercept.kind(), number);
        let message = lower::message(0, &state, intercept);
        assert!(message[3] == 0x80 && usize::from(message[4]) >= 40, "{intercept:?}");
    }
    let mut page = lower::register_page(&state);
    assert_eq!(lower::changes(&page), Changes::default());
    page[4..8].fill(0xff);
    let changes = lower::changes(&page);
    assert_eq!((changes.rip, changes.rsp, changes.rflags), (Some(0x1000), Some(0x104), Some(0x202)));
    assert_eq!(changes.segments.unwrap()[1], state.segments[1]);
}
