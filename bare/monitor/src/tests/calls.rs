//! Calls as Linux makes them.

use super::*;
use crate::{register, vmbus};

/// GET_VP_REGISTERS of one register through memory: status and value.
fn get(partition: &mut Partition, fake: &mut Fake, name: u32) -> (u64, u64) {
    fake.put(INPUT, &[SELF, SELF_VP, name.into()]);
    (call(partition, fake, 0x50 | ONE), fake.get(OUTPUT))
}

#[test]
fn the_level_is_what_was_configured() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for vtl in [0, 2] {
            let (mut partition, mut fake) = (partition(arch, vtl), Fake::new());
            assert_eq!(get(&mut partition, &mut fake, register::VSM_VP_STATUS), (ONE, vtl.into()));
            assert!(fake.reported(&["vsm-vp-status", &format!("\"0x{vtl}\"")]), "{:?}", fake.lines);
        }
    }
}

#[test]
fn arm_asks_in_registers() {
    let (mut partition, mut fake) = (partition(Arch::Aarch64, 2), Fake::new());
    let mut words = [0; 16];
    words[..3].copy_from_slice(&[SELF, SELF_VP, register::PRIVILEGES_AND_FEATURES.into()]);
    let mut parameters = Parameters::new(&words);
    let outcome = hypercall(&mut partition, &mut fake, 0, 0x50 | FAST | ONE, &mut parameters);
    assert_eq!(outcome, Outcome::Result(ONE));
    // X6 and X7, counted from X2: behind the input, rounded up to 16 bytes.
    assert_eq!(parameters.words[4] as u32, 0x66);
    assert_ne!(parameters.words[5], 0);
    // X2 and on are the caller's still.
    assert_eq!(parameters.words[0], SELF);
    words[..5].copy_from_slice(&[SELF, SELF_VP, register::GUEST_OS_ID.into(), 0, 0x8100]);
    let mut parameters = Parameters::new(&words);
    assert_eq!(
        hypercall(&mut partition, &mut fake, 0, 0x51 | FAST | ONE, &mut parameters),
        Outcome::Result(ONE)
    );
    assert_eq!(get(&mut partition, &mut fake, register::GUEST_OS_ID), (ONE, 0x8100));
}

#[test]
fn repetitions_go_on_where_they_are_told_and_stop_where_they_fail() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    let names = u64::from(register::VSM_VP_STATUS) | 0xdead_0000 << 32;
    fake.put(INPUT, &[SELF, SELF_VP, names]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | 2 << 32), ONE | 5, "one done, the second unknown");
    fake.put(INPUT, &[SELF, SELF_VP, u64::from(register::VSM_VP_STATUS) << 32]);
    fake.put(OUTPUT, &[7, 7, 7]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | 2 << 32 | 1 << 48), 2 << 32);
    assert_eq!((fake.get(OUTPUT), fake.get(OUTPUT + 16)), (7, 2), "the first is left alone");
}

#[test]
fn processors_start_once() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    let mut start = [0; 30];
    start[..3].copy_from_slice(&[SELF, 2 << 32 | 1, 0xffff_8000]);
    fake.put(INPUT, &start);
    assert_eq!(call(&mut partition, &mut fake, 0x99), 0x15, "the level isn't enabled there yet");
    assert_eq!(call(&mut partition, &mut fake, 0x0f), 0);
    assert_eq!(call(&mut partition, &mut fake, 0x0f), 0x86);
    assert_eq!(call(&mut partition, &mut fake, 0x99), 0);
    assert_eq!(call(&mut partition, &mut fake, 0x99), 0x15);
    assert_eq!(fake.started[&1].rip, 0xffff_8000);
    // Index 0 runs, 4 isn't there.
    fake.put(INPUT, &[SELF, 2 << 32]);
    assert_eq!(call(&mut partition, &mut fake, 0x99), 0x15);
    fake.put(INPUT, &[SELF, 2 << 32 | 4]);
    assert_eq!(call(&mut partition, &mut fake, 0x99), 0x0e);
    fake.put(INPUT, &[SELF, 0, 3]);
    assert_eq!(call(&mut partition, &mut fake, 0x9a | ONE), ONE);
    assert_eq!(fake.get(OUTPUT) as u32, 3);
    fake.put(INPUT, &[SELF, 0, 9]);
    assert_eq!(call(&mut partition, &mut fake, 0x9a | ONE), 0x10);
}

/// A message to the VMBus host: connection, type 1, the payload's size, then its words.
pub fn post(partition: &mut Partition, fake: &mut Fake, connection: u32, payload: &[u64]) -> u64 {
    fake.put(INPUT, &[connection.into(), 1 | (payload.len() as u64 * 8) << 32]);
    fake.put(INPUT + 16, payload);
    call(partition, fake, 0x5c)
}

pub const SLOT: u64 = RAM_START + 0x3000 + 2 * 256;

pub fn with_synic(arch: Arch, vtl: u8) -> (Partition, Fake) {
    let (mut partition, mut fake) = (partition(arch, vtl), Fake::new());
    for (name, value) in
        [(register::SIMP, RAM_START + 0x3001), (register::SINT0 + 2, 0xf3), (register::SCONTROL, 1)]
    {
        partition.set_register(&mut fake, 0, name, value).unwrap();
    }
    (partition, fake)
}

pub const CONTACT_6_0: [u64; 4] = [14, 0x6_0000, 2 | 2 << 8, 0];
const REQUEST_OFFERS: [u64; 1] = [3];

#[test]
fn vmbus_agrees_on_a_version_and_offers_a_channel() {
    let (mut partition, mut fake) = with_synic(Arch::X86_64, 2);
    assert_eq!(post(&mut partition, &mut fake, vmbus::CONNECTION_VTL2, &CONTACT_6_0), 0);
    assert_eq!(fake.interrupts, [(0, 0xf3)]);
    // Type 1; sixteen bytes; version response; supported; the connection to go on with.
    assert_eq!((fake.get(SLOT) as u32, fake.get(SLOT) >> 32 & 0xff), (1, 16));
    assert_eq!((fake.get(SLOT + 16), fake.get(SLOT + 24)), (15, 1 | 0x80_0074 << 32));
    // The slot is in use: the next message waits, and the guest is told so.
    assert_eq!(post(&mut partition, &mut fake, vmbus::CONNECTION_VTL2, &REQUEST_OFFERS), 0);
    assert_eq!(fake.get(SLOT) >> 40 & 1, 1);
    assert_eq!(fake.interrupts.len(), 1);
    fake.put(SLOT, &[0]);
    partition.set_register(&mut fake, 0, register::EOM, 0).unwrap();
    assert_eq!((fake.get(SLOT + 16), fake.interrupts.len()), (1, 2), "an offer");
    fake.put(SLOT, &[0]);
    partition.set_register(&mut fake, 0, register::EOM, 0).unwrap();
    assert_eq!((fake.get(SLOT + 16), fake.interrupts.len()), (4, 3), "no more offers");
    // A version of the future.
    fake.put(SLOT, &[0]);
    assert_eq!(post(&mut partition, &mut fake, 4, &[14, 0x7_0000, 2, 0]), 0);
    assert_eq!((fake.get(SLOT + 16), fake.get(SLOT + 24) & 0xff), (15, 0));
}

#[test]
fn vmbus_of_level_2_is_for_level_2() {
    let (mut partition, mut fake) = with_synic(Arch::Aarch64, 0);
    assert_eq!(post(&mut partition, &mut fake, vmbus::CONNECTION_VTL2, &CONTACT_6_0), 0x12);
    assert_eq!(post(&mut partition, &mut fake, vmbus::CONNECTION_4, &CONTACT_6_0), 0);
    assert_eq!(post(&mut partition, &mut fake, 77, &CONTACT_6_0), 0x12);
}

#[test]
fn a_full_queue_says_so() {
    let (mut partition, mut fake) = with_synic(Arch::X86_64, 2);
    let answers: Vec<u64> =
        (0..6).map(|_| post(&mut partition, &mut fake, vmbus::CONNECTION_VTL2, &REQUEST_OFFERS)).collect();
    // Two answers each: one message lies in the slot, three wait, and two more don't fit.
    assert_eq!(answers, [0, 0, 0x13, 0x13, 0x13, 0x13]);
}
