//! Finding the first byte that is not zero, many bytes at a time.

/// Bytes looked at together: the loop over one group has no branch, so it becomes vector code.
const GROUP_BYTES: usize = 64;

/// Index of the first byte that is not zero.
pub(crate) fn first_nonzero(bytes: &[u8]) -> Option<usize> {
    let (groups, _) = bytes.as_chunks::<GROUP_BYTES>();
    let clean = groups
        .iter()
        .take_while(|group| group.iter().fold(0, |seen, byte| seen | byte) == 0)
        .count();
    let start = clean * GROUP_BYTES;
    bytes[start..].iter().position(|byte| *byte != 0).map(|index| start + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_not_zero_is_found_at_every_place() {
        let mut bytes = [0u8; 200];
        assert_eq!(first_nonzero(&bytes), None);
        assert_eq!(first_nonzero(&[]), None);
        for place in (0..bytes.len()).rev() {
            bytes[place] = 1;
            assert_eq!(first_nonzero(&bytes), Some(place));
        }
    }
}
