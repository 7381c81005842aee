//! Memory of a whole process is counted where no other test allocates or frees beside: in a process
//! of its own. The one test here stays the only one.

use icecore_disk::memory_use;

#[test]
fn touched_memory_is_counted() {
    let before = memory_use().expect("/proc is there on Linux").resident;
    let touched = std::hint::black_box(vec![1u8; 64 << 20]);
    let after = memory_use().expect("/proc is there on Linux");
    assert!(after.resident >= before + (60 << 20), "{before} {after:?}");
    assert!(after.peak >= after.resident);
    drop(touched);
}
