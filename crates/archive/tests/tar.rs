//! The tar reader against the tar crate, in any chunking.

mod common;

use std::io::Read;

use common::{Listing, read_tar};
use icecore_archive::{
    Error,
    tar::{EndBlocks, TarFault, TarKind},
};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

/// A member to be written.
#[derive(Debug, Clone)]
struct Recipe {
    path: String,
    content: Vec<u8>,
    style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// GNU header; a long path goes to an `L` header before it.
    Gnu,
    /// POSIX header; a path of more than 100 bytes is split into prefix and name.
    Ustar,
    /// v7 header, type NUL.
    Old,
    /// Path and size in pax records, others in the header.
    Pax,
    /// The size in base 256.
    Base256,
    /// A folder, without content.
    Folder,
    /// A link, of which only the type matters here.
    Link,
    /// A GNU sparse file without holes.
    Sparse,
}

fn header(style: Style, size: usize) -> Header {
    let mut header = match style {
        Style::Ustar => Header::new_ustar(),
        Style::Old => Header::new_old(),
        _ => Header::new_gnu(),
    };
    header.set_mode(0o644);
    header.set_size(size as u64);
    header.set_entry_type(match style {
        Style::Folder => EntryType::Directory,
        Style::Link => EntryType::Symlink,
        Style::Sparse => EntryType::GNUSparse,
        Style::Old => EntryType::new(0),
        _ => EntryType::Regular,
    });
    header
}

fn write(members: &[Recipe], is_finished: bool) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Recipe { path, content, style } in members {
        let content = match style {
            Style::Folder | Style::Link => &[][..],
            _ => content,
        };
        let mut header = header(*style, content.len());
        match style {
            Style::Pax => {
                let size = content.len().to_string();
                let records = [
                    ("comment", &b"b=c"[..]),
                    ("path", path.as_bytes()),
                    ("size", size.as_bytes()),
                ];
                builder.append_pax_extensions(records).expect("it writes");
                header.set_size(if content.is_empty() { 9 } else { 0 });
                header.set_path("somewhere/else").expect("it is short");
                header.set_cksum();
                builder.append(&header, content).expect("it writes");
                continue;
            }
            Style::Base256 => {
                let size = (content.len() as u64).to_le_bytes();
                let field = &mut header.as_mut_bytes()[124..136];
                field.fill(0);
                field[0] = 0x80;
                size.iter().enumerate().for_each(|(index, byte)| field[11 - index] = *byte);
            }
            Style::Sparse => {
                let gnu = header.as_gnu_mut().expect("it is a GNU header");
                let size = format!("{:011o}\0", content.len());
                gnu.realsize.copy_from_slice(size.as_bytes());
                if !content.is_empty() {
                    gnu.sparse[0].offset.copy_from_slice(b"00000000000\0");
                    gnu.sparse[0].numbytes.copy_from_slice(size.as_bytes());
                }
            }
            _ => {}
        }
        builder.append_data(&mut header, path, content).expect("it writes");
    }
    match is_finished {
        true => builder.into_inner().expect("it writes"),
        false => {
            let mut bytes = builder.into_inner().expect("it writes");
            bytes.truncate(bytes.len() - 1024);
            bytes
        }
    }
}

/// Path, type flag, content offset and content, as the tar crate reads them.
type Row = (String, u8, u64, Vec<u8>);

fn by_oracle(bytes: &[u8]) -> Vec<Row> {
    let mut archive = tar::Archive::new(bytes);
    let mut rows = Vec::new();
    for entry in archive.entries().expect("it begins") {
        let mut entry = entry.expect("a good entry");
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("text");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("it is all there");
        let flag = entry.header().entry_type().as_byte();
        rows.push((path, flag, entry.raw_file_position(), content));
    }
    rows
}

fn rows(listing: &Listing) -> Vec<Row> {
    let row = |(member, content): &common::Content| {
        let flag = match member.kind {
            TarKind::Regular => b'0',
            TarKind::Directory => b'5',
            TarKind::Sparse => b'S',
            TarKind::Other(flag) => flag,
        };
        (member.path.clone(), flag, member.data_offset, content.clone())
    };
    listing.members.iter().map(row).collect()
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let style = proptest::sample::select(vec![
        Style::Gnu,
        Style::Ustar,
        Style::Old,
        Style::Pax,
        Style::Base256,
        Style::Folder,
        Style::Link,
        Style::Sparse,
    ]);
    let name = proptest::collection::vec("[a-z0-9._\u{e9}]{1,30}", 1..12);
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::collection::vec(any::<u8>(), 500..2100),
    ];
    (style, name, content).prop_map(|(style, name, content)| {
        let mut path = name.join("/");
        if path.starts_with('.') || path.contains("/.") {
            path = path.replace('.', "_");
        }
        if matches!(style, Style::Old) || (style == Style::Ustar && path.len() > 200) {
            let end = (0..=90.min(path.len())).rfind(|end| path.is_char_boundary(*end));
            path.truncate(end.expect("0 is a boundary"));
            path = path.trim_end_matches('/').to_owned();
        }
        Recipe { path, content, style }
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..8usize, 1..3000usize], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn members_are_as_the_tar_crate_says_in_any_chunking(
        members in proptest::collection::vec(recipe(), 0..6),
        is_finished: bool,
        sizes in sizes(),
    ) {
        let bytes = write(&members, is_finished);
        let listing = read_tar(&bytes, &sizes).expect("a good archive");
        prop_assert_eq!(&listing, &read_tar(&bytes, &[usize::MAX]).expect("a good archive"));
        let rows = rows(&listing);
        prop_assert_eq!(&rows, &by_oracle(&bytes));
        for (row, recipe) in rows.iter().zip(&members) {
            prop_assert_eq!(&row.0, &recipe.path);
        }
        prop_assert_eq!(rows.len(), members.len());
        prop_assert_eq!(listing.end.members, members.len() as u64);
        prop_assert_eq!(listing.end.end_blocks == EndBlocks::Present, is_finished);
        prop_assert_eq!(listing.end.trailing_bytes, 0);
        prop_assert!(listing.padding.is_empty());
    }

    #[test]
    fn damage_is_an_error_or_other_members_never_a_panic(
        members in proptest::collection::vec(recipe(), 1..4),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
        is_checksum_mended: bool,
        sizes in sizes(),
    ) {
        let mut bytes = write(&members, true);
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
            if is_checksum_mended {
                // What is behind the checksum is to be reached too.
                mend(&mut bytes[index / 512 * 512..][..512]);
            }
        }
        let whole = read_tar(&bytes, &[usize::MAX]);
        prop_assert_eq!(&whole, &read_tar(&bytes, &sizes));
        if let Err(error) = whole {
            prop_assert_eq!(error.check_id(), "C3");
        }
    }
}

fn mend(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn gnu(path: &str, content: &[u8]) -> Recipe {
    Recipe { path: path.to_owned(), content: content.to_vec(), style: Style::Gnu }
}

/// One member whose header was changed and whose checksum is right again.
fn changed(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = write(&[gnu("a", b"content")], true);
    change(&mut bytes[..512]);
    mend(&mut bytes[..512]);
    bytes
}

fn fault(bytes: &[u8]) -> (u64, TarFault) {
    let whole = read_tar(bytes, &[usize::MAX]);
    assert_eq!(whole, read_tar(bytes, &[1]));
    match whole {
        Err(Error::Tar { offset, fault }) => (offset, fault),
        other => panic!("a fault was expected: {other:?}"),
    }
}

#[test]
fn a_stream_that_ends_anywhere_but_between_members_is_an_error() {
    let long = "long/".repeat(30);
    let members = [gnu("a", &[1; 600]), gnu("b", &[]), gnu(&long, &[2; 512]), gnu("c", b"c")];
    let bytes = write(&members, true);
    let listing = read_tar(&bytes, &[512]).expect("a good archive");
    let next =
        |(member, _): &common::Content| member.data_offset + member.size.next_multiple_of(512);
    let mut borders: Vec<u64> = vec![0];
    borders.extend(listing.members.iter().map(next));
    let end = *borders.last().expect("there is one");
    for cut in 0..=bytes.len() as u64 {
        for sizes in [[7], [usize::MAX]] {
            let result = read_tar(&bytes[..cut as usize], &sizes);
            if borders.contains(&cut) {
                let end = result.expect("whole members").end;
                assert_eq!((end.end_blocks, end.trailing_bytes), (EndBlocks::Missing, 0));
            } else if cut >= end + 512 {
                let found = result.expect("an end").end;
                let (blocks, trailing) = match cut - end {
                    1024 => (EndBlocks::Present, 0),
                    more => (EndBlocks::One, more - 512),
                };
                assert_eq!((found.end_blocks, found.trailing_bytes), (blocks, trailing));
            } else {
                let Err(Error::TarEnds { offset, began }) = result else {
                    panic!("cut at {cut}: {result:?}");
                };
                assert_eq!(offset, cut);
                let member = *borders.iter().rfind(|border| **border <= cut).expect("0 is one");
                assert!(began >= member && began <= cut, "cut at {cut}: {began}");
            }
        }
    }
}

#[test]
fn what_follows_the_end_is_counted_and_no_member() {
    let member = write(&[gnu("a", b"a")], false);
    let zeros = |blocks: usize| vec![0; 512 * blocks];
    for (bytes, end_blocks, trailing_bytes, nonzero) in [
        ([&member[..], &zeros(2)].concat(), EndBlocks::Present, 0, None),
        ([&member[..], &zeros(18)].concat(), EndBlocks::Present, 16 * 512, None),
        ([&member[..], &zeros(2), &member].concat(), EndBlocks::Present, 1024, Some(2048)),
        ([&member[..], &zeros(3), b"x"].concat(), EndBlocks::Present, 513, Some(2560)),
        ([&member[..], &zeros(1), &member].concat(), EndBlocks::One, 1024, Some(1536)),
        ([&member[..], &zeros(1), b"\0x"].concat(), EndBlocks::One, 2, Some(1537)),
    ] {
        for sizes in [[1], [usize::MAX]] {
            let listing = read_tar(&bytes, &sizes).expect("a good archive");
            assert_eq!(rows(&listing), by_oracle(&bytes));
            let end = listing.end;
            assert_eq!((listing.members.len(), end.members), (1, 1));
            assert_eq!((end.end_blocks, end.trailing_bytes), (end_blocks, trailing_bytes));
            assert_eq!(end.trailing_nonzero, nonzero);
        }
    }
}

#[test]
fn padding_that_is_not_zero_is_told_once_with_its_place() {
    let mut bytes = write(&[gnu("a", b"abc"), gnu("b", &[7; 512])], true);
    bytes[512 + 100] = 1;
    bytes[512 + 101] = 1;
    bytes[512 + 511] = 1;
    for sizes in [[1], [300], [usize::MAX]] {
        let listing = read_tar(&bytes, &sizes).expect("a good archive");
        assert_eq!(listing.padding, [612]);
        assert_eq!(rows(&listing), by_oracle(&bytes));
    }
}

#[test]
fn headers_that_cannot_be_read_are_refused_where_they_stand() {
    let first = write(&[gnu("first", b"f")], false);
    let mut bytes = [&first[..], &write(&[gnu("a", b"a")], true)].concat();
    bytes[1024] ^= 1;
    assert_eq!(fault(&bytes), (1024, TarFault::Checksum));

    for size in ["", "           ", "0000000008\0", "-0000000001", "0x1\0"] {
        let bytes = changed(|header| {
            header[124..136].fill(0);
            header[124..124 + size.len()].copy_from_slice(size.as_bytes());
        });
        assert_eq!(fault(&bytes), (0, TarFault::Size), "{size}");
    }
    for size in [[0xff; 12], [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], [0xc0; 12]] {
        let bytes = changed(|header| header[124..136].copy_from_slice(&size));
        assert_eq!(fault(&bytes), (0, TarFault::Size));
    }
    for size in [u64::MAX, u64::MAX - 512, (64 << 40) - 511] {
        let bytes = changed(|header| {
            header[124..128].copy_from_slice(&[0x80, 0, 0, 0]);
            let digits = size.to_le_bytes();
            digits.iter().enumerate().for_each(|(index, byte)| header[135 - index] = *byte);
        });
        assert_eq!(fault(&bytes), (0, TarFault::TooLarge { bytes: size }));
    }
    let bytes = changed(|header| header[0] = 0xff);
    assert_eq!(fault(&bytes), (0, TarFault::PathEncoding));

    // The sum over signed bytes, as old writers made it.
    let mut signed = changed(|header| header[..2].copy_from_slice("\u{e9}".as_bytes()));
    let sum = signed[..512].iter().enumerate().map(|(index, byte)| match index {
        148..156 => i32::from(b' '),
        _ => i32::from(*byte as i8),
    });
    let sum = format!("{:06o}\0 ", sum.sum::<i32>());
    signed[148..156].copy_from_slice(sum.as_bytes());
    let listing = read_tar(&signed, &[100]).expect("a signed sum");
    assert_eq!(listing.members[0].0.path, "\u{e9}");
}

#[test]
fn sparse_members_are_read_when_nothing_is_left_out() {
    let sparse = |map: &[(u64, u64)], real_size: u64, is_extended: bool| {
        changed(|header| {
            header[156] = b'S';
            for (index, (offset, bytes)) in map.iter().enumerate() {
                let extent = format!("{offset:011o}\0{bytes:011o}\0");
                header[386 + 24 * index..][..24].copy_from_slice(extent.as_bytes());
            }
            header[482] = u8::from(is_extended);
            header[483..495].copy_from_slice(format!("{real_size:011o}\0").as_bytes());
        })
    };
    for map in [&[(0, 7)][..], &[(0, 7), (7, 0)], &[(0, 3), (3, 4)]] {
        let bytes = sparse(map, 7, false);
        let listing = read_tar(&bytes, &[1]).expect("nothing is left out");
        assert_eq!(listing.members[0].0.kind, TarKind::Sparse);
        assert_eq!(listing.members[0].1, b"content");
    }
    for bytes in [
        sparse(&[(0, 7)], 8, false),
        sparse(&[(0, 7)], 7, true),
        sparse(&[(1, 7)], 8, false),
        sparse(&[(0, 3), (4, 4)], 8, false),
        sparse(&[(0, 8)], 8, false),
        sparse(&[(0, 7), (512, 0)], 512, false),
        sparse(&[], 7, false),
    ] {
        assert_eq!(fault(&bytes), (0, TarFault::Sparse));
    }
    let posix = changed(|header| {
        header[156] = b'S';
        header[257..265].copy_from_slice(b"ustar\x0000");
    });
    assert_eq!(fault(&posix), (0, TarFault::Sparse));
}

/// An extension header with its content.
fn extension(flag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = write(&[gnu("extension", content)], false);
    bytes[156] = flag;
    mend(&mut bytes[..512]);
    bytes
}

#[test]
fn extensions_are_read_once_and_bounded() {
    let member = write(&[gnu("member", b"abc")], true);
    let behind = |extensions: &[Vec<u8>]| [&extensions.concat()[..], &member].concat();
    let path = |extensions: &[Vec<u8>]| {
        let bytes = behind(extensions);
        let listing = read_tar(&bytes, &[11]).expect("a good archive");
        assert_eq!(rows(&listing), by_oracle(&bytes));
        listing.members[0].0.path.clone()
    };
    assert_eq!(path(&[extension(b'L', b"gnu\0")]), "gnu");
    assert_eq!(path(&[extension(b'L', b"gnu")]), "gnu");
    assert_eq!(path(&[extension(b'K', b"target\0"), extension(b'L', b"gnu\0")]), "gnu");
    assert_eq!(path(&[extension(b'x', b"12 path=pax\n")]), "pax");
    assert_eq!(path(&[extension(b'x', b"9 uid=10\n")]), "member");
    // The tar crate does not read values with line ends.
    let lines = behind(&[extension(b'x', b"17 comment=a\nb=c\n12 path=pax\n")]);
    let listing = read_tar(&lines, &[11]).expect("a good archive");
    assert_eq!(listing.members[0].0.path, "pax");
    // In a v7 header the type means nothing.
    let mut old = extension(b'L', b"name\0");
    old[257..265].fill(0);
    mend(&mut old[..512]);
    let bytes = behind(&[old]);
    let listing = read_tar(&bytes, &[11]).expect("a good archive");
    assert_eq!(rows(&listing), by_oracle(&bytes));
    assert_eq!(listing.members[0].0.kind, TarKind::Other(b'L'));
    let global = behind(&[extension(b'g', b"13 comment=x\n")]);
    let listing = read_tar(&global, &[11]).expect("a good archive");
    assert_eq!(listing.members[0].0.path, "member");

    let long = vec![b'a'; 4097];
    for (extensions, expected) in [
        (vec![extension(b'L', b"a\0"), extension(b'L', b"b\0")], TarFault::SaidTwice),
        (vec![extension(b'L', b"a\0"), extension(b'x', b"10 path=b\n")], TarFault::SaidTwice),
        (vec![extension(b'x', b"10 path=a\n10 path=b\n")], TarFault::SaidTwice),
        (
            vec![extension(b'x', b"10 size=1\n"), extension(b'x', b"10 size=3\n")],
            TarFault::SaidTwice,
        ),
        (vec![extension(b'g', b"10 size=1\n")], TarFault::GlobalRecord),
        (vec![extension(b'x', b"22 GNU.sparse.major=1\n")], TarFault::Sparse),
        (vec![extension(b'x', b"10 size=x\n")], TarFault::Size),
        (vec![extension(b'L', b"a\0b\0")], TarFault::PathEncoding),
        (vec![extension(b'x', b"10 path=\xff\n")], TarFault::PathEncoding),
        (vec![extension(b'L', &long)], TarFault::PathTooLong { bytes: 4097 }),
    ] {
        let last = extensions[..extensions.len() - 1].concat().len() as u64;
        assert_eq!(fault(&behind(&extensions)), (last, expected));
    }
    for record in [
        "8 path=a\n",
        "11 path=a\n",
        "10 path=a",
        "10path=a\n",
        "x path=a\n",
        "8 path\n\0",
        "3 =",
        " a=b\n",
    ] {
        let bytes = behind(&[extension(b'x', record.as_bytes())]);
        assert_eq!(fault(&bytes), (0, TarFault::PaxRecord), "{record}");
    }
    let large = extension(b'x', &vec![b'a'; (1 << 20) + 1]);
    let expected = TarFault::ExtensionTooLarge { bytes: (1 << 20) + 1 };
    assert_eq!(fault(&large[..512]), (0, expected));
    let alone = [&extension(b'L', b"a\0")[..], &[0; 1024]].concat();
    assert_eq!(fault(&alone), (1024, TarFault::NoMember));
    let cut = read_tar(&alone[..1024], &[100]);
    assert_eq!(cut, Err(Error::TarEnds { offset: 1024, began: 0 }));
}
