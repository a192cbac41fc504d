#![no_main]

use printernizer_fuzz::formats::Renditions;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(made) = Renditions::of(data) {
        assert_eq!(made.sizes.len(), 3);
        for size in &made.sizes {
            assert!(size.width <= size.size.side() && size.height <= size.size.side());
        }
    }
});
