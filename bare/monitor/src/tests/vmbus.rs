//! The channel as a guest's driver uses it, and as one that means harm does.

use super::{
    calls::{CONTACT_6_0, SLOT, post, with_synic},
    hostile::Random,
    *,
};
use crate::{register, vmbus};

/// Rings of four pages each, as hv_utils has them, in this order in the guest's memory.
const PAGES: [u64; 8] = [0x110, 0x131, 0x112, 0x139, 0x11f, 0x120, 0x128, 0x115];
const GPADL: u64 = 0xe1e10;
const EVENT_PAGE: u64 = RAM_START + 0x4000;
/// The flag of channel 1 for SINT 2.
const FLAG: u64 = EVENT_PAGE + 2 * 256;
const DATA_BYTES: u32 = 3 * 4096;

struct Driver {
    partition: Partition,
    fake: Fake,
    read_index: u32,
    write_index: u32,
}

impl Driver {
    fn new() -> Driver {
        let (mut partition, mut fake) = with_synic(Arch::X86_64, 2);
        partition.set_register(&mut fake, 0, register::SIEFP, EVENT_PAGE | 1).unwrap();
        let mut driver = Driver { partition, fake, read_index: 0, write_index: 0 };
        driver.answer(&CONTACT_6_0);
        driver
    }

    /// Posts a message and reads the answers one after the other: type and first word of each.
    fn answer(&mut self, message: &[u64]) -> Vec<(u64, u64)> {
        assert_eq!(post(&mut self.partition, &mut self.fake, vmbus::CONNECTION_VTL2, message), 0);
        let mut answers = Vec::new();
        while self.fake.get(SLOT) != 0 {
            answers.push((self.fake.get(SLOT + 16), self.fake.get(SLOT + 24)));
            self.fake.put(SLOT, &[0]);
            self.partition.set_register(&mut self.fake, 0, register::EOM, 0).unwrap();
        }
        answers
    }

    fn describe(&mut self, pages: &[u64]) -> Vec<(u64, u64)> {
        let bytes = pages.len() as u64 * 4096;
        let mut message = vec![8, 1 | GPADL << 32, (8 + pages.len() as u64 * 8) | 1 << 16 | bytes << 32];
        // The byte offset is the upper half of a word that the first frame follows at once.
        let mut raw: Vec<u8> = message.drain(..).flat_map(u64::to_le_bytes).collect();
        raw.extend([0; 4]);
        raw.extend(pages.iter().flat_map(|page| page.to_le_bytes()));
        self.answer_bytes(&raw)
    }

    fn answer_bytes(&mut self, raw: &[u8]) -> Vec<(u64, u64)> {
        let mut raw = raw.to_vec();
        raw.resize(raw.len().next_multiple_of(8), 0);
        let words: Vec<u64> =
            raw.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
        self.answer(&words)
    }

    fn open(&mut self, offset: u64) -> Vec<(u64, u64)> {
        // relid, openid, gpadl, processor 0, offset
        self.answer(&[5, 1 | 7 << 32, GPADL, offset])
    }

    fn opened() -> Driver {
        let mut driver = Driver::new();
        assert_eq!(driver.describe(&PAGES), [(10, 1 | GPADL << 32)]);
        assert_eq!(driver.open(4), [(6, 1 | 7 << 32)]);
        driver
    }

    fn address(ring: usize, at: u32) -> u64 {
        let at = u64::from(at);
        PAGES[ring * 4 + (at / 4096) as usize] * 4096 + at % 4096
    }

    fn index(&self, ring: usize, at: u32) -> u32 {
        self.fake.get(Driver::address(ring, at)) as u32
    }

    fn set_index(&mut self, ring: usize, at: u32, value: u32) {
        self.fake.write(Driver::address(ring, at), &value.to_le_bytes()).unwrap();
    }

    /// The oldest packet from the host: its payload.
    fn receive(&mut self) -> Option<Vec<u8>> {
        if self.index(1, 0) == self.read_index {
            return None;
        }
        let byte = |driver: &Driver, at: u32| {
            let at = 4096 + at % DATA_BYTES;
            driver.fake.get(Driver::address(1, at) & !7).to_le_bytes()[(at % 8) as usize]
        };
        let from = self.read_index;
        let head: Vec<u8> = (0..16).map(|at| byte(self, from + at)).collect();
        assert_eq!((head[0], head[2]), (6, 2), "in-band data behind a descriptor of 16 bytes");
        let length = u32::from(u16::from_le_bytes([head[4], head[5]])) * 8;
        let payload = (16..length).map(|at| byte(self, from + at)).collect();
        self.read_index = (from + length + 8) % DATA_BYTES;
        let read_index = self.read_index;
        self.set_index(1, 4, read_index);
        Some(payload)
    }

    /// Puts a packet into the ring to the host.
    fn send(&mut self, payload: &[u8]) {
        let mut packet = vec![6, 0, 2, 0];
        packet.extend(((16 + payload.len() as u16) / 8).to_le_bytes());
        packet.extend([0; 10]);
        packet.extend(payload);
        packet.extend([0; 8]);
        for (number, byte) in packet.iter().enumerate() {
            let at = 4096 + (self.write_index + number as u32) % DATA_BYTES;
            self.fake.write(Driver::address(0, at), &[*byte]).unwrap();
        }
        self.write_index = (self.write_index + packet.len() as u32) % DATA_BYTES;
        let write_index = self.write_index;
        self.set_index(0, 0, write_index);
    }

    fn signal(&mut self) -> u64 {
        self.fake.put(INPUT, &[vmbus::EVENT_CONNECTION.into()]);
        call(&mut self.partition, &mut self.fake, 0x5d)
    }

    /// Answers as the driver does: in the packet that it got, with the response flag.
    fn reply(&mut self, mut payload: Vec<u8>, change: impl Fn(&mut [u8])) {
        payload[25] = 1 | 4;
        change(&mut payload);
        self.send(&payload);
        assert_eq!(self.signal(), 0);
    }
}

/// The driver takes framework 3.0 and messages 3.2, the newest that it knows.
fn agree(payload: &mut [u8]) {
    payload[28..32].copy_from_slice(&[1, 0, 1, 0]);
    payload[36..44].copy_from_slice(&[3, 0, 0, 0, 3, 0, 2, 0]);
}

#[test]
fn the_guest_is_asked_to_go() {
    for (wish, flags) in [(vmbus::Wish::PowerOff, 0), (vmbus::Wish::Restart, 2)] {
        let mut driver = Driver::opened();
        assert_eq!(driver.fake.get(FLAG), 2, "flag 1 is raised");
        assert_eq!(driver.fake.interrupts.last(), Some(&(0, 0xf3)));
        // Asked too early: it waits until versions are agreed on.
        driver.partition.wish(&mut driver.fake, wish);
        let offer = driver.receive().unwrap();
        assert_eq!(driver.receive(), None);
        assert_eq!(offer[12..14], [0, 0], "a negotiation");
        assert_eq!(offer[28..32], [2, 0, 4, 0], "two versions of the framework, four of the messages");
        driver.reply(offer, agree);
        assert!(driver.fake.reported(&["shutdown-negotiated", "accepted", r#""major":3,"minor":2"#]));
        let request = driver.receive().unwrap();
        assert_eq!(request.len(), 2088);
        assert_eq!(request[8..18], [3, 0, 0, 0, 3, 0, 3, 0, 2, 0], "versions around the type");
        assert_eq!(request[36..40], [flags, 0, 0, 0]);
        driver.reply(request, |_| {});
        assert!(driver.fake.reported(&["shutdown-answered", "accepted", r#""status":"0x0""#]));
        // Once is enough.
        driver.partition.wish(&mut driver.fake, wish);
        assert_eq!(driver.receive(), None);
    }
}

#[test]
fn what_the_guest_refuses() {
    let mut driver = Driver::opened();
    let offer = driver.receive().unwrap();
    driver.reply(offer, |payload| payload[28..32].fill(0));
    assert!(driver.fake.reported(&["shutdown-negotiated", "refused"]));
    driver.partition.wish(&mut driver.fake, vmbus::Wish::PowerOff);
    assert_eq!(driver.receive(), None);

    let mut driver = Driver::opened();
    let offer = driver.receive().unwrap();
    driver.reply(offer, agree);
    driver.partition.wish(&mut driver.fake, vmbus::Wish::PowerOff);
    let request = driver.receive().unwrap();
    driver.reply(request, |payload| payload[20..24].copy_from_slice(&0x8000_4005_u32.to_le_bytes()));
    assert!(driver.fake.reported(&["shutdown-answered", "refused", "0x80004005"]));
}

#[test]
fn offers_pages_and_openings() {
    let mut driver = Driver::new();
    let offers = driver.answer(&[3]);
    assert_eq!(offers.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(offers[0].1, u64::from_le_bytes([0x31, 0x60, 0x0b, 0x0e, 0x13, 0x52, 0x34, 0x49]));
    // Nothing to open yet; then pages in two messages.
    let status = |answers: Vec<(u64, u64)>| answers.iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(status(driver.open(4)), [6]);
    assert!(driver.fake.reported(&["open-channel", "0xc0000001"]));
    let mut header: Vec<u8> = [8, 1 | GPADL << 32, 72 | 1 << 16 | (8 * 4096) << 32]
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .chain([0; 4])
        .collect();
    header.extend(PAGES[..3].iter().flat_map(|page| page.to_le_bytes()));
    // The message is padded here, so a frame's half must not count as one.
    assert_eq!(driver.answer_bytes(&header), []);
    let body: Vec<u64> = [9, GPADL << 32].into_iter().chain(PAGES[3..].iter().copied()).collect();
    assert_eq!(driver.answer(&body), [(10, 1 | GPADL << 32)]);
    // An offset that leaves a ring without data, another channel, other pages.
    for offset in [0, 1, 7, 8, 9, u32::MAX.into()] {
        driver.open(offset);
        assert!(driver.fake.interrupts.len() < 100 && driver.receive().is_none(), "{offset}");
    }
    driver.answer(&[5, 2 | 7 << 32, GPADL, 4]);
    driver.answer(&[5, 1 | 7 << 32, GPADL + 1, 4]);
    assert_eq!(driver.fake.get(FLAG), 0);
    driver.open(4);
    assert_eq!(driver.fake.get(FLAG), 2);
    // Open already: neither again, nor with other pages. Closed and torn down, it begins anew.
    driver.describe(&PAGES[..4]);
    driver.open(2);
    assert!(driver.receive().is_some() && driver.receive().is_none());
    driver.answer(&[7, 1]);
    assert_eq!(driver.answer(&[11, 1 | GPADL << 32]), [(12, GPADL)]);
    assert_eq!(driver.answer(&[22, 1]), [(24, 1)]);
    assert_eq!(driver.answer(&[13, 1]), []);
    assert_eq!(driver.answer(&[16]), [(17, 0)]);
}

#[test]
fn pages_that_are_none() {
    let refused = |pages: &[u64]| {
        let mut driver = Driver::new();
        assert_eq!(
            driver.describe(pages).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [10],
            "{pages:x?}"
        );
        assert!(!driver.fake.reported(&["channel-pages"]), "{pages:x?}");
        assert!(driver.fake.reported(&["gpadl-header", "0xc000000d"]), "{:?}", driver.fake.lines);
    };
    for frame in [0, RAM_START / 4096 - 1, RAM_END / 4096, 1 << 52, u64::MAX, u64::MAX / 4096] {
        refused(&[PAGES[0], frame]);
    }
    refused(&[]);
    let mut driver = Driver::new();
    // More than there is room for; a length that isn't that of the frames; two ranges; an offset within a page.
    let words = |words: [u64; 4]| words;
    for (range, bytes, offset, status) in [
        (8 + 65 * 8, 65 * 4096, 0, "0xc000009a"),
        (8 + 8, 2 * 4096, 0, "0xc000000d"),
        (8 + 8, 4096 + 1, 0, "0xc000000d"),
        (8 + 8, 4096, 8, "0xc000000d"),
        (u64::from(u16::MAX), u64::from(u32::MAX), 0, "0xc000000d"),
    ] {
        driver.fake.lines.clear();
        let first = words([8, 1 | GPADL << 32, range | 1 << 16 | bytes << 32, offset | PAGES[0] << 32]);
        let (mut partition, mut fake) = with_synic(Arch::X86_64, 2);
        post(&mut partition, &mut fake, vmbus::CONNECTION_VTL2, &first);
        assert!(fake.reported(&["gpadl-header", status]), "{range} {bytes} {offset}: {:?}", fake.lines);
    }
}

#[test]
fn packets_go_round() {
    let mut driver = Driver::opened();
    let offer = driver.receive().unwrap();
    // Packets of all lengths that the service knows nothing of, for some rounds; then the answer is still understood.
    for round in 0..2000 {
        driver.send(&vec![0xff; (round % 64) * 8]);
        assert_eq!(driver.signal(), 0);
        let (read, written) = (driver.index(0, 4), driver.index(0, 0));
        assert_eq!(read, written, "all is read");
    }
    driver.reply(offer, agree);
    assert!(driver.fake.reported(&["shutdown-negotiated", "accepted"]));
    assert!(!driver.fake.reported(&["channel-broken"]));
}

#[test]
fn rings_that_make_no_sense() {
    // Indices outside or askew, packets shorter than their descriptor or longer than what was written.
    let broken = |spoil: &dyn Fn(&mut Driver)| {
        let mut driver = Driver::opened();
        spoil(&mut driver);
        assert_eq!(driver.signal(), 0);
        assert!(driver.fake.reported(&["channel-broken"]), "{:?}", driver.fake.lines);
        // It is closed for both sides.
        driver.partition.wish(&mut driver.fake, vmbus::Wish::PowerOff);
        assert!(!driver.fake.reported(&["shutdown-asked"]));
    };
    for index in [DATA_BYTES, DATA_BYTES + 8, 4, u32::MAX, 0x8000_0000] {
        broken(&|driver| driver.set_index(0, 0, index));
    }
    for words in
        [[6 | 2 << 16, 1], [6 | 1 << 16, 8], [6 | 9 << 16, 4], [6 | 2 << 16, 0xffff], [6 | 2 << 16, 6]]
    {
        broken(&|driver| {
            let at = Driver::address(0, 4096);
            driver.fake.put(at, &[words[0] | words[1] << 32]);
            driver.set_index(0, 0, 48);
        });
    }
    // The guest's own index of the other ring, when the host wants to write.
    let mut driver = Driver::opened();
    let offer = driver.receive().unwrap();
    driver.reply(offer, agree);
    driver.set_index(1, 4, 3);
    driver.partition.wish(&mut driver.fake, vmbus::Wish::PowerOff);
    assert!(driver.fake.reported(&["channel-broken"]));
    // A guest that reads nothing leaves no room.
    let mut driver = Driver::opened();
    let offer = driver.receive().unwrap();
    driver.reply(offer, agree);
    let write_index = driver.index(1, 0);
    driver.set_index(1, 4, (write_index + 8) % DATA_BYTES);
    driver.partition.wish(&mut driver.fake, vmbus::Wish::PowerOff);
    assert!(driver.fake.reported(&["channel-broken"]));
}

#[test]
fn channels_at_random() {
    let mut random = Random::new(0xc4a2);
    for _ in 0..300 {
        let mut driver = Driver::opened();
        for _ in 0..60 {
            match random.next() % 6 {
                0 => driver.set_index(
                    (random.next() % 2) as usize,
                    (random.next() % 3) as u32 * 4,
                    random.edge() as u32,
                ),
                1 => {
                    let at = (random.next() % (4 * 4096 / 8)) as u32 * 8;
                    let address = Driver::address((random.next() % 2) as usize, at);
                    driver.fake.put(address, &[random.edge()]);
                }
                2 => _ = driver.signal(),
                3 => driver.partition.wish(&mut driver.fake, vmbus::Wish::Restart),
                4 => {
                    let mut message: Vec<u64> = (0..29).map(|_| random.edge()).collect();
                    message[0] = random.next() % 26;
                    if random.next().is_multiple_of(2) {
                        message[1] = 1 | GPADL << 32;
                    }
                    post(&mut driver.partition, &mut driver.fake, vmbus::CONNECTION_VTL2, &message);
                    driver.fake.put(SLOT, &[0]);
                    driver.partition.set_register(&mut driver.fake, 0, register::EOM, 0).unwrap();
                }
                _ => {
                    let payload = vec![random.next() as u8; (random.next() % 300) as usize * 8];
                    driver.write_index = driver.index(0, 0) % DATA_BYTES / 8 * 8;
                    driver.send(&payload);
                }
            }
        }
    }
}
