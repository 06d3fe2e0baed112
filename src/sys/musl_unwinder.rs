//! Lets programs on musl be linked to the unwinder of glibc's gcc, as Debian's `musl-gcc` links them. That one asks
//! glibc's `_dl_find_object` (dlfcn.h, glibc 2.35) where a function's unwind table is, which musl does not have. This one
//! asks dl_iterate_phdr(3), which both have. It is a weak symbol: where somebody else brings one, that is taken.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

/// `struct dl_find_object` of glibc's dlfcn.h, as it is on x86-64 and aarch64.
#[repr(C)]
struct FoundObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

struct Search {
    address: usize,
    start: usize,
    end: usize,
    eh_frame: usize,
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: dl_iterate_phdr passes a live record of one object, and the pointer that find_object gave it.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
    // SAFETY: the record says how many program headers there are, and where.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let (mut is_here, mut eh_frame) = (false, 0);
    for header in headers {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        match header.p_type {
            libc::PT_LOAD if search.address.wrapping_sub(start) < header.p_memsz as usize => {
                is_here = true;
                (search.start, search.end) = (start, start.wrapping_add(header.p_memsz as usize));
            }
            libc::PT_GNU_EH_FRAME => eh_frame = start,
            _ => {}
        }
    }
    search.eh_frame = eh_frame;
    (is_here && eh_frame != 0).into()
}

/// 0 and the object that holds the address, or -1.
unsafe extern "C" fn find_object(address: *mut c_void, object: *mut FoundObject) -> c_int {
    let mut search = Search { address: address as usize, start: 0, end: 0, eh_frame: 0 };
    // SAFETY: `look` is called before this returns only, with this very search.
    if unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) } == 0 {
        return -1;
    }
    let [map_start, map_end, eh_frame] = [search.start, search.end, search.eh_frame].map(|at| at as *mut c_void);
    // SAFETY: the unwinder passes a place of this very layout.
    unsafe {
        object.write(FoundObject { flags: 0, map_start, map_end, link_map: null_mut(), eh_frame, reserved: [0; 7] });
    }
    0
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(".weak _dl_find_object", "_dl_find_object:", "jmp {}", sym find_object);
#[cfg(target_arch = "aarch64")]
std::arch::global_asm!(".weak _dl_find_object", "_dl_find_object:", "b {}", sym find_object);

// gcc's unwinder asks for these weakly, which takes none of them out of musl's archive, and calls them all the same.
unsafe extern "C" {
    fn pthread_once();
    fn pthread_mutex_lock();
    fn pthread_mutex_unlock();
}
#[used]
static TAKEN_OUT_OF_THE_ARCHIVE: [unsafe extern "C" fn(); 3] = [pthread_once, pthread_mutex_lock, pthread_mutex_unlock];
