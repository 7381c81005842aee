//! C2 to C5: container, tar, version, members.

use icecore_restore::CheckId::*;

use super::says;
use crate::{
    case::{Case, From::Full},
    support::{Member, records, zstd, zstd_frame},
};

pub(super) const CONTAINER: &[Case] = &[
    Case {
        name: "C2: bytes after the last frame",
        from: Full,
        edit: |subject| {
            subject.pack = |tar| [zstd(tar), b"garbage!".to_vec()].concat();
            says(&["8 bytes after the last frame"])
        },
        fails: &[],
        warns: &[C2],
    },
    Case {
        name: "C2: a frame without its end",
        from: Full,
        edit: |subject| {
            subject.pack = |tar| {
                let mut frame = zstd(tar);
                frame.pop();
                frame
            };
            says(&["zstd ends at offset", "within the frame that begins at 0"])
        },
        fails: &[C2],
        warns: &[],
    },
    Case {
        name: "C2: a frame with a wrong checksum",
        from: Full,
        edit: |subject| {
            subject.pack = |tar| {
                let mut frame = zstd_frame(tar, true);
                let last = frame.last_mut().expect("a checksum");
                *last ^= 1;
                frame
            };
            says(&["zstd, offset 0:", "checksum"])
        },
        fails: &[C2],
        warns: &[],
    },
    Case {
        name: "C3: a member of no known name",
        from: Full,
        edit: |subject| {
            let members = &mut subject.forms.full.members;
            members.insert(1, Member::file("hello.txt", b"hello".to_vec()));
            says(&["member 'hello.txt' (regular): an archive holds no member of that name"])
        },
        fails: &[C3],
        warns: &[],
    },
    Case {
        name: "C3: a member twice",
        from: Full,
        edit: |subject| {
            let members = &mut subject.forms.full.members;
            members.push(members[0].clone());
            says(&["member 'version' stands twice"])
        },
        fails: &[C3],
        warns: &[],
    },
    Case {
        name: "C3: padding that is not zero",
        from: Full,
        edit: |subject| {
            subject.tar = |mut tar| {
                // Behind the five bytes of `version`.
                tar[512 + 100] = 7;
                tar
            };
            says(&["tar, offset 612: padding after a member is not zero"])
        },
        fails: &[C3],
        warns: &[],
    },
    Case {
        name: "C3: no end blocks",
        from: Full,
        edit: |subject| {
            subject.forms.full.end.clear();
            says(&["the two zero blocks that end a tar stream are missing"])
        },
        fails: &[],
        warns: &[C3],
    },
    Case {
        name: "C3: one end block",
        from: Full,
        edit: |subject| {
            subject.forms.full.end.truncate(512);
            says(&["the two zero blocks that end a tar stream are missing"])
        },
        fails: &[],
        warns: &[C3],
    },
    Case {
        name: "C4: another version",
        from: Full,
        edit: |subject| {
            subject.forms.full.member("version").content = b"1.3.0".to_vec();
            says(&["the snapshot version is '1.3.0', not 1.2.0"])
        },
        fails: &[C4],
        warns: &[],
    },
    Case {
        name: "C4: no version",
        from: Full,
        edit: |subject| {
            subject.forms.full.members.remove(0);
            says(&["no member 'version'"])
        },
        fails: &[C4],
        warns: &[],
    },
    Case {
        name: "C5: no status cache",
        from: Full,
        edit: |subject| {
            let at = subject.forms.full.index("snapshots/status_cache");
            subject.forms.full.members.remove(at);
            says(&["0 members 'snapshots/status_cache', not one"])
        },
        fails: &[C5],
        warns: &[],
    },
    Case {
        name: "C5: no manifest",
        from: Full,
        edit: |subject| {
            let at = subject.forms.full.index("snapshots/46/46");
            subject.forms.full.members.remove(at);
            says(&["no manifest (snapshots/SLOT/SLOT)"])
        },
        fails: &[C5],
        warns: &[],
    },
    Case {
        name: "C5: the manifest of another slot's folder",
        from: Full,
        edit: |subject| {
            subject.forms.full.manifest_bytes().path = "snapshots/47/46".to_string();
            says(&["folder of the manifest: expected 46, found 47"])
        },
        fails: &[C5],
        warns: &[],
    },
    Case {
        name: "C5: another slot's folder",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let mut folder = full.member("snapshots/46").clone();
            folder.path = "snapshots/47".to_string();
            full.members.insert(3, folder);
            says(&["folder 'snapshots/47' is of another slot"])
        },
        fails: &[C5],
        warns: &[],
    },
    Case {
        name: "C5: a second manifest",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let mut manifest = full.manifest_bytes().clone();
            manifest.path = "snapshots/46/47".to_string();
            full.members.push(manifest);
            says(&["2 manifests"])
        },
        fails: &[C5],
        warns: &[],
    },
    Case {
        name: "C5: two storages of a slot",
        from: Full,
        edit: |subject| {
            let full = &mut subject.forms.full;
            let storage = full.storage_of(22);
            let second = records(full).into_iter().filter(|at| at.slot == 22).nth(1);
            let start = second.expect("the storage has several records").range.start;
            let member = full.member(&storage);
            let rest = member.content.split_off(start);
            full.members.push(Member::file("accounts/22.900", rest));
            says(&["two storages for slot 22: ids 22 and 900"])
        },
        fails: &[C5],
        // The list holds one storage for a slot.
        warns: &[M12],
    },
];
