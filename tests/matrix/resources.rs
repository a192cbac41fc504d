//! What this process holds: live bytes of its heap, descriptors, threads, resident memory.

use std::fs;

use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// A moment's figures.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub heap_bytes: usize,
    pub descriptors: usize,
    pub threads: usize,
    pub rss_bytes: usize,
}

impl Held {
    pub fn now() -> Held {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().split(' ').next().unwrap().parse().unwrap()
        };
        Held {
            heap_bytes: HEAP.current_usage(),
            // The one that looks is not counted.
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count() - 1,
            threads: field("Threads:"),
            rss_bytes: field("VmRSS:") * 1024,
        }
    }
}
