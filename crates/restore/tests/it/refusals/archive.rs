//! Names, containers, tar, version.

use icecore_restore::CheckId::*;

use super::{
    Case,
    Reference::{Accepts, Refuses},
    edits::{add, remove, set},
};
use crate::{
    case::From::{Full, Pair},
    support::{Member, zstd},
};

pub(super) const ARCHIVE: &[Case] = &[
    Case {
        name: "control",
        reference: Accepts,
        from: Full,
        edit: |_| {},
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "control+inc",
        reference: Accepts,
        from: Pair,
        edit: |_| {},
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "inc-base-mismatch",
        reference: Refuses,
        from: Pair,
        edit: |subject| subject.forms.above().base = Some(45),
        fails: &[M3],
        warns: &[],
        why: "",
    },
    Case {
        name: "file-name-other-slot",
        reference: Refuses,
        from: Full,
        edit: |subject| subject.forms.full.slot = 47,
        fails: &[C5, M2],
        warns: &[],
        why: "",
    },
    Case {
        name: "file-name-other-hash",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let other = "3pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";
            subject.forms.full.hash = other.parse().expect("base58");
        },
        fails: &[M4],
        warns: &[],
        why: "",
    },
    Case {
        name: "version-1.3.0",
        reference: Refuses,
        from: Full,
        edit: |subject| set(&mut subject.forms.full, "version", b"1.3.0"),
        fails: &[C4],
        warns: &[],
        why: "",
    },
    Case {
        name: "version-v1.2.0-newline",
        reference: Accepts,
        from: Full,
        edit: |subject| set(&mut subject.forms.full, "version", b"v1.2.0\n"),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "version-missing",
        reference: Refuses,
        from: Full,
        edit: |subject| remove(&mut subject.forms.full, "version"),
        fails: &[C4],
        warns: &[],
        why: "",
    },
    Case {
        name: "version-last",
        reference: Accepts,
        from: Full,
        edit: |subject| subject.forms.full.members.rotate_left(1),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "extra-file",
        reference: Refuses,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "hello.txt", b"hello"),
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "extra-accounts-name",
        reference: Refuses,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "accounts/abc", b"hello"),
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "dot-slash-paths",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            for member in &mut subject.forms.full.members {
                member.path = format!("./{}", member.path);
            }
        },
        // Not one member is known, so none is there.
        fails: &[C3, C4, C5],
        warns: &[],
        why: "",
    },
    Case {
        name: "parent-path",
        reference: Refuses,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "accounts/../../evil", b"evil"),
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "absolute-path",
        reference: Refuses,
        from: Full,
        edit: |subject| add(&mut subject.forms.full, "/evil", b"evil"),
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "symlink-entry",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            let mut link = Member::file("accounts/1.1", Vec::new());
            link.header[156] = b'2';
            link.header[157..168].copy_from_slice(b"/etc/passwd");
            subject.forms.full.members.push(link);
        },
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "accounts-dir-entry",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            let mut folder = Member::file("accounts/", Vec::new());
            folder.header[156] = b'5';
            subject.forms.full.members.insert(5, folder);
        },
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "accounts-before-manifest",
        reference: Accepts,
        from: Full,
        edit: |subject| subject.forms.full.members.rotate_left(5),
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "gnu-sparse-type",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            for member in &mut subject.forms.full.members {
                if member.storage().is_some() {
                    let size = format!("{:011o}\0", member.content.len());
                    member.header[156] = b'S';
                    member.header[257..265].copy_from_slice(b"ustar  \0");
                    member.header[386..398].copy_from_slice(b"00000000000\0");
                    member.header[398..410].copy_from_slice(size.as_bytes());
                    member.header[483..495].copy_from_slice(size.as_bytes());
                    // A path that is not the header's makes the checksum be written anew.
                    member.header[0] ^= 1;
                }
            }
        },
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "zst-truncated",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            subject.pack = |tar| {
                let mut frame = zstd(tar);
                frame.truncate(frame.len() / 2);
                frame
            };
        },
        fails: &[C2],
        warns: &[],
        why: "",
    },
    Case {
        name: "zst-trailing-garbage",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            subject.pack = |tar| [zstd(tar), b"garbage".to_vec()].concat();
        },
        fails: &[],
        warns: &[C2],
        why: "no writer leaves anything there: a file that was overwritten or joined",
    },
    Case {
        name: "zst-two-frames",
        reference: Accepts,
        from: Full,
        edit: |subject| {
            subject.pack = |tar| {
                let (first, second) = tar.split_at(tar.len() / 2);
                [zstd(first), zstd(second)].concat()
            };
        },
        fails: &[],
        warns: &[],
        why: "",
    },
    Case {
        name: "tar-no-end-blocks",
        reference: Accepts,
        from: Full,
        edit: |subject| subject.forms.full.end.clear(),
        fails: &[],
        warns: &[C3],
        why: "a stream that was cut between two members looks like this",
    },
    Case {
        name: "tar-header-checksum-bad",
        reference: Refuses,
        from: Full,
        edit: |subject| {
            subject.tar = |mut tar| {
                tar[148] ^= 1;
                tar
            };
        },
        fails: &[C3],
        warns: &[],
        why: "",
    },
    Case {
        name: "empty-file",
        reference: Refuses,
        from: Full,
        edit: |subject| subject.pack = |_| Vec::new(),
        fails: &[C2],
        warns: &[],
        why: "",
    },
    Case {
        name: "gz-content",
        reference: Refuses,
        from: Full,
        edit: |subject| subject.pack = |_| b"\x1f\x8b\x08\0\0\0\0\0\0\x03and so on".to_vec(),
        fails: &[C2],
        warns: &[],
        why: "",
    },
];
