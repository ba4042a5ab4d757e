//! A spin lock: processors enter the shared core one at a time.

use core::{
    cell::UnsafeCell,
    hint::spin_loop,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};

pub struct Lock<T> {
    taken: AtomicBool,
    content: UnsafeCell<T>,
}

// SAFETY: `content` is reached through `Held` alone, and `taken` lets only one of those exist.
unsafe impl<T: Send> Sync for Lock<T> {}

pub struct Held<'a, T>(&'a Lock<T>);

impl<T> Lock<T> {
    pub const fn new(content: T) -> Lock<T> {
        Lock { taken: AtomicBool::new(false), content: UnsafeCell::new(content) }
    }

    pub fn take(&self) -> Held<'_, T> {
        while self.taken.swap(true, Ordering::Acquire) {
            spin_loop();
        }
        Held(self)
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this processor holds the lock.
        unsafe { &*self.0.content.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this processor holds the lock.
        unsafe { &mut *self.0.content.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}
