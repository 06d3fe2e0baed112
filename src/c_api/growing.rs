/// Writes a struct that may grow at its end: `size` bytes as the caller knows it. What the library does not know is 0.
///
/// # Safety
/// `to` has `size` bytes, and `T` is a struct of C without padding that would matter.
pub(super) unsafe fn write_growing<T>(known: &T, to: *mut T, size: usize) {
    let to = to.cast::<u8>();
    // SAFETY: the caller's promise; of the library's own struct no more is read than there is.
    unsafe {
        to.write_bytes(0, size);
        std::ptr::copy_nonoverlapping(std::ptr::from_ref(known).cast::<u8>(), to, size.min(size_of::<T>()));
    }
}
