//! What is appended: the same events for everybody, made from their number alone.
//!
//! Payloads are printable ASCII without pattern: nothing to compress, and the case that favours
//! `batpak`, whose frames take two bytes for each payload byte from 0x80 on. Stream keys are made
//! before anything is measured.

/// Bytes from which payloads are cut.
const POOL_BYTES: usize = 1 << 20;
/// Bytes of a payload, unless told otherwise (issue: 256-byte payloads).
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Events of a batch.
pub(crate) const BATCH_EVENTS: u64 = 100;

/// A sequence without pattern: splitmix64 of the number.
pub(crate) fn scatter(number: u64) -> u64 {
    let mut value = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

/// Events by their number.
#[derive(Debug)]
pub(crate) struct Workload {
    streams: Vec<String>,
    pool: Vec<u8>,
    payload_bytes: usize,
}

impl Workload {
    /// Events with payloads of 256 bytes, over so many streams.
    pub(crate) fn new(stream_count: u64) -> Self {
        Self::with_payload(stream_count, PAYLOAD_BYTES)
    }

    /// Events with payloads of this size, below 1 MiB.
    pub(crate) fn with_payload(stream_count: u64, payload_bytes: usize) -> Self {
        assert!(stream_count > 0 && payload_bytes < POOL_BYTES, "a stream, and room in the pool");
        let pool = (0..POOL_BYTES as u64).map(|at| b'!' + (scatter(at) % 94) as u8).collect();
        let streams = (0..stream_count).map(|stream| format!("stream-{stream:07}")).collect();
        Self { streams, pool, payload_bytes }
    }

    /// Bytes of every payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// All stream keys.
    pub(crate) fn streams(&self) -> &[String] {
        &self.streams
    }

    /// Which stream the event belongs to.
    pub(crate) fn stream_index(&self, event: u64) -> usize {
        (scatter(event) % self.streams.len() as u64) as usize
    }

    /// Key of the event's stream.
    pub(crate) fn stream(&self, event: u64) -> &str {
        &self.streams[self.stream_index(event)]
    }

    /// The event's payload.
    pub(crate) fn payload(&self, event: u64) -> &[u8] {
        let start = scatter(!event) as usize % (POOL_BYTES - self.payload_bytes);
        &self.pool[start..][..self.payload_bytes]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn events_differ_and_are_the_same_in_every_run() {
        let (one, other) = (Workload::new(1000), Workload::new(1000));
        let payloads: HashSet<_> = (0..1000).map(|event| one.payload(event)).collect();
        assert!(payloads.len() > 990);
        let streams: HashSet<_> = (0..10_000).map(|event| one.stream(event)).collect();
        assert!(streams.len() > 990);
        for event in 0..1000 {
            assert_eq!(one.payload(event), other.payload(event));
            assert_eq!(one.stream(event), other.stream(event));
        }
    }
}
