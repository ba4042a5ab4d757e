//! Copying, filling and comparing memory; a function that `core` names.

/// # Safety
/// As the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges. The copy is in assembly: written in Rust, it would be compiled into a
    // call of itself.
    unsafe { copy_up(to, from, length) };
    to
}

/// # Safety
/// As the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: the caller vouches for both ranges; the direction is the one in which nothing is overwritten unread.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= length {
            copy_up(to, from, length);
        } else {
            let mut left = length;
            while left > 0 {
                left -= 1;
                to.add(left).write_volatile(from.add(left).read_volatile());
            }
        }
    }
    to
}

/// # Safety
/// As the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    for at in 0..length {
        // SAFETY: the caller vouches for the range. Volatile, since this loop is what memset would be made of.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

/// # Safety
/// As the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: the caller vouches for both ranges.
        let (l, r) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if l != r {
            return i32::from(l) - i32::from(r);
        }
    }
    0
}

/// # Safety
/// As the C function.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller vouches for both ranges.
    unsafe { memcmp(left, right, length) }
}

/// The precompiled `core` refers to it; with panic=abort nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(target_arch = "x86_64")]
unsafe fn copy_up(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear by convention.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rdi") to => _,
            inout("rsi") from => _,
            inout("rcx") length => _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(target_arch = "aarch64")]
unsafe fn copy_up(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        core::arch::asm!(
            "2: cmp {left}, #8",
            "b.lo 3f",
            "ldr {word}, [{from}], #8",
            "str {word}, [{to}], #8",
            "sub {left}, {left}, #8",
            "b 2b",
            "3: cbz {left}, 4f",
            "ldrb {word:w}, [{from}], #1",
            "strb {word:w}, [{to}], #1",
            "sub {left}, {left}, #1",
            "b 3b",
            "4:",
            to = inout(reg) to => _,
            from = inout(reg) from => _,
            left = inout(reg) length => _,
            word = out(reg) _,
            options(nostack)
        );
    }
}
