//! 64-bit Arm: the flat image where it wants to be, the device tree's address in X0.

use std::ops::Range;

use super::{Content, Cursor, Entry, IgvmError, Image, Layout, PAGE_BYTES, Role, largest, parameters};
use crate::fields::Fields as _;
use crate::uki::Part;

/// Images begin at a multiple of this, plus their own offset (booting.rst, "Call the kernel image").
const ALIGNMENT: u64 = 2 << 20;
const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;

pub fn layout(
    image: &Image<'_>,
    device_tree: impl FnOnce(Range<u64>) -> Vec<u8>,
) -> Result<Layout, IgvmError> {
    // Whole, as `crate::kernel::identify` has found.
    let head = image.kernel.head;
    let (text_offset, image_size) = (head.le64(TEXT_OFFSET), head.le64(IMAGE_SIZE));
    let kernel_bytes = image_size.max(image.kernel.part.length_bytes);
    let place = |range: &Range<u64>| {
        let kernel = range.start.checked_next_multiple_of(ALIGNMENT)?.checked_add(text_offset)?;
        let end = kernel.checked_add(kernel_bytes)?.checked_add(image.initramfs.length_bytes)?;
        // The tree, areas that the host fills, and what alignment costs.
        (end.checked_add(ROOM)? <= range.end).then_some(kernel)
    };
    let needed = ALIGNMENT.saturating_add(kernel_bytes).saturating_add(image.initramfs.length_bytes + ROOM);
    let Some(kernel) = image.memory.iter().find_map(place) else {
        return Err(IgvmError::NoRoom { needed, largest: largest(&image.memory) });
    };

    let mut cursor = Cursor { next: kernel + kernel_bytes };
    let initramfs = cursor.take(image.initramfs.length_bytes, PAGE_BYTES);
    let mut layout = Layout::new(image, Entry::Aarch64 { pc: kernel, x0: 0 });
    let tree = device_tree(initramfs..initramfs + image.initramfs.length_bytes);
    let x0 = cursor.bytes(&mut layout, Role::DeviceTree, tree);
    layout.entry = Entry::Aarch64 { pc: kernel, x0 };
    layout.parameters = parameters(&mut cursor);
    let source = |part: &Part| Content::Source { name: part.source.clone(), offset: 0 };
    let kernel_part = &image.kernel.part;
    layout.push(kernel, kernel_part.length_bytes, Role::Kernel, source(kernel_part));
    layout.push(initramfs, image.initramfs.length_bytes, Role::Initramfs, source(&image.initramfs));
    Ok(layout)
}

/// Two megabytes of tree, which is the most that kernels take, and half as much again.
const ROOM: u64 = 3 << 20;
