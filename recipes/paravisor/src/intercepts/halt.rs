//! HLT: VTL0 waits for an interrupt, and so VTL2 does.

use crate::{
    intercepts::Next,
    processor::{End, Processor},
};

pub fn handle(processor: &mut Processor) -> Next {
    const INTERRUPTS_ON: u64 = 1 << 9;
    if processor.mshv.rflags() & INTERRUPTS_ON == 0 {
        return Next::End(End::HaltedForGood);
    }
    processor.apic.advance(processor.clock.now_ns());
    if processor.apic.pending().is_none() {
        // Of what could wake it there is only the timer.
        if processor.apic.deadline_ns().is_none() {
            return Next::End(End::HaltedForGood);
        }
        processor.clock.wait();
    }
    Next::Skip
}
