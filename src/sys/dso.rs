//! Keeping the library in memory, for threads that live as long as the process.

/// Makes this library stay loaded: neither dlclose() nor FreeLibrary() takes its code away any more.
#[cfg(unix)]
pub(crate) fn stay_loaded() {
    let own: fn() = stay_loaded;
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr fills `info` when it returns non-zero; dlopen with RTLD_NOLOAD only changes flags of what is
    // loaded.
    unsafe {
        if libc::dladdr(own as *const _, info.as_mut_ptr()) != 0 && !info.assume_init().dli_fname.is_null() {
            libc::dlopen(info.assume_init().dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

#[cfg(windows)]
pub(crate) fn stay_loaded() {
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    };
    let own: fn() = stay_loaded;
    let mut module = std::ptr::null_mut();
    // SAFETY: with FROM_ADDRESS the name is an address within a module; `module` is written by the call.
    unsafe {
        let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
        GetModuleHandleExW(flags, own as *const u16, &mut module);
    }
}
