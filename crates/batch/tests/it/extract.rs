//! Members to files.

use std::fs;

use icecore_batch::{Error, extract};
use icecore_restore::Progress;

use crate::support::{archives_in, cores, folder, member, names, tiny};

#[test]
fn members_come_whole_or_none_of_them() {
    let (full, _) = archives_in(&tiny());
    let to = folder();
    let wanted = ["snapshots/46/46", "version", "accounts/46.0", "version"].map(str::to_string);
    let storage = {
        let slots = crate::support::manifest(&full, 46).accounts_db.storages;
        let (slot, storages) = slots.first().expect("there are some").clone();
        format!("accounts/{slot}.{}", storages[0].id)
    };
    let mut wanted = wanted.to_vec();
    wanted[2] = storage.clone();
    let progress = Progress::default();
    let made = extract(&full, &wanted, to.path(), &cores(2), &progress).expect("they are there");
    let members: Vec<_> = made.iter().map(|made| made.member.as_str()).collect();
    assert_eq!(members, ["snapshots/46/46", "version", &storage]);
    for made in &made {
        let content = fs::read(&made.path).expect("just written");
        assert!(content == member(&full, &made.member), "{}", made.member);
        assert_eq!(made.bytes, content.len() as u64);
    }
    assert_eq!(names(to.path()).len(), 3);

    let none = folder();
    for absent in ["snapshots/46/47", "snapshots/", "../version"] {
        let wanted = ["version", absent].map(str::to_string);
        let error = extract(&full, &wanted, none.path(), &cores(1), &progress).expect_err(absent);
        assert!(matches!(&error, Error::NoMember { member, .. } if member == absent), "{error}");
        assert_eq!(names(none.path()), Vec::<String>::new());
    }
    let again = ["snapshots/status_cache", "version"].map(str::to_string);
    let error = extract(&full, &again, to.path(), &cores(1), &progress).expect_err("it is there");
    assert!(matches!(error, Error::Disk(icecore_disk::Error::Exists { .. })), "{error}");
    assert_eq!(names(to.path()).len(), 3);
}
