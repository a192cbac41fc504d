//! The allocator's habits, where they cost memory.

/// Lets all threads share one heap.
///
/// glibc gives each thread that allocates at the same moment as another a heap of its own, and keeps it: a dozen threads that
/// hardly ever work hold megabytes that nobody uses. Call it before the first thread is started. Elsewhere (musl on the
/// Raspberry Pi has one heap anyway) it does nothing. What the environment says (`MALLOC_ARENA_MAX`) is replaced.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc's mallopt has no other face")]
pub fn share_one_heap() {
    unsafe extern "C" {
        fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
    }
    /// `M_ARENA_MAX` of malloc.h.
    const ARENA_MAX: std::ffi::c_int = -8;
    // SAFETY: mallopt is a function of glibc with exactly this signature; it takes two numbers by value, touches no memory of
    // ours, and an unknown parameter only makes it answer 0. No other thread runs yet, so nobody allocates meanwhile.
    let _ = unsafe { mallopt(ARENA_MAX, 1) };
}

/// Lets all threads share one heap, which they do here anyway.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_one_heap() {}
