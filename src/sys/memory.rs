//! Memory that may not be had. Elsewhere an allocation that fails ends the process, which is Rust's way; these say so.

use std::collections::TryReserveError;

/// There is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> OutOfMemory {
        OutOfMemory
    }
}

/// An empty vector with room for so many.
pub(crate) fn vec_for<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut items = Vec::new();
    items.try_reserve_exact(count)?;
    Ok(items)
}

/// A vector of one item.
pub(crate) fn vec_of<T>(item: T) -> Result<Vec<T>, OutOfMemory> {
    let mut items = vec_for(1)?;
    items.push(item);
    Ok(items)
}

pub(crate) fn boxed<T>(item: T) -> Result<Box<T>, OutOfMemory> {
    let slice = Box::into_raw(vec_of(item)?.into_boxed_slice());
    // SAFETY: a slice of one item, which was a box, is laid out as the item is.
    Ok(unsafe { Box::from_raw(slice.cast::<T>()) })
}

/// Gives back what a vector does not need, if there is memory for what it holds.
pub(crate) fn shrink<T>(items: &mut Vec<T>) {
    if items.len() < items.capacity()
        && let Ok(mut fewer) = vec_for(items.len())
    {
        fewer.append(items);
        *items = fewer;
    }
}

/// Whether so many bytes could be had just now.
pub(crate) fn could_have(bytes: usize) -> bool {
    // Without the hint the compiler leaves an allocation out that nobody uses.
    std::hint::black_box(vec_for::<u8>(bytes)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_is_whole() {
        assert_eq!(boxed([1, 2, 3]).map(|numbers| *numbers), Ok([1, 2, 3]));
        assert_eq!(boxed(()).map(|nothing| *nothing), Ok(()));
        assert_eq!(vec_of("one").unwrap(), ["one"]);
        assert!(could_have(1 << 20));
    }

    #[test]
    fn what_is_not_needed_is_given_back() {
        for count in [0, 1, 1_000] {
            let mut numbers: Vec<u64> = (0..2_000).collect();
            numbers.truncate(count);
            shrink(&mut numbers);
            assert_eq!(numbers.capacity(), count);
            assert!(numbers.into_iter().eq(0..count as u64));
        }
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert_eq!(vec_for::<u64>(usize::MAX / 16), Err(OutOfMemory));
        assert!(!could_have(isize::MAX as usize));
    }
}
