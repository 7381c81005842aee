//! What a registry of kinds refuses at start, and how it decodes.

use super::*;

/// A payload of any kind, version and name: the bytes as they are, if they are not empty.
macro_rules! payload {
    ($type:ident, $kind:expr, $version:expr, $name:expr) => {
        #[derive(Debug, PartialEq, Eq)]
        struct $type(Vec<u8>);

        impl Payload for $type {
            const KIND: u16 = $kind;
            const VERSION: u16 = $version;
            const NAME: &'static str = $name;

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn decode(bytes: &[u8]) -> Result<Self, PayloadError> {
                match bytes {
                    [] => Err(PayloadError::new("it is empty")),
                    bytes => Ok(Self(bytes.to_vec())),
                }
            }
        }
    };
}

payload!(Deposit, 7, 1, "deposit");
payload!(Deposit3, 7, 3, "deposit");
payload!(Withdrawal, 8, 1, "withdrawal");
payload!(OtherSeven, 7, 1, "other");
payload!(DepositAsNine, 9, 1, "deposit");
payload!(LastFree, 0xEFFF, 1, "last free");
payload!(FirstReserved, 0xF000, 1, "first reserved");
payload!(LastReserved, 0xFFFF, 1, "last reserved");
payload!(Nameless, 10, 1, "");
payload!(Versionless, 10, 0, "versionless");

fn append_2(bytes: &[u8]) -> Result<Vec<u8>, PayloadError> {
    Ok([bytes, &[2]].concat())
}

fn append_3(bytes: &[u8]) -> Result<Vec<u8>, PayloadError> {
    match bytes {
        [9, ..] => Err(PayloadError::new("nines cannot be upcast")),
        bytes => Ok([bytes, &[3]].concat()),
    }
}

fn deposit_3() -> KindsBuilder {
    Kinds::builder().register::<Deposit3>().upcast(7, 2, append_3).upcast(7, 1, append_2)
}

#[test]
fn a_payload_comes_back_as_it_was_encoded() {
    let kinds = Kinds::builder().register::<Deposit>().register::<Withdrawal>().build();
    let kinds = kinds.expect("no clash");
    let mut bytes = Vec::new();
    Withdrawal(vec![1, 2]).encode(&mut bytes);
    assert_eq!(kinds.decode::<Withdrawal>(8, 1, &bytes), Ok(Withdrawal(vec![1, 2])));
}

#[test]
fn older_payloads_are_upcast_version_by_version() {
    let kinds = deposit_3().build().expect("a whole chain");
    assert_eq!(kinds.decode::<Deposit3>(7, 1, &[5]), Ok(Deposit3(vec![5, 2, 3])));
    assert_eq!(kinds.decode::<Deposit3>(7, 2, &[5]), Ok(Deposit3(vec![5, 3])));
    assert_eq!(kinds.decode::<Deposit3>(7, 3, &[5]), Ok(Deposit3(vec![5])));
}

#[test]
fn a_version_newer_than_known_is_an_error() {
    let kinds = deposit_3().build().expect("a whole chain");
    let error = kinds.decode::<Deposit3>(7, 4, &[5]);
    assert_eq!(error, Err(KindError::Newer { name: "deposit", found: 4, known: 3 }));
}

#[test]
fn version_zero_is_an_error() {
    let kinds = deposit_3().build().expect("a whole chain");
    let error = kinds.decode::<Deposit3>(7, 0, &[5]);
    assert_eq!(error, Err(KindError::VersionZero { name: "deposit" }));
}

#[test]
fn an_event_of_another_kind_is_an_error() {
    let kinds = deposit_3().register::<Withdrawal>().build().expect("a whole chain");
    let error = kinds.decode::<Deposit3>(8, 1, &[5]);
    assert_eq!(error, Err(KindError::OtherKind { found: 8, expected: 7, name: "deposit" }));
}

#[test]
fn a_type_that_is_not_registered_decodes_nothing() {
    let kinds = deposit_3().build().expect("a whole chain");
    let unregistered = |kind, name, version| KindError::Unregistered { kind, name, version };
    assert_eq!(
        kinds.decode::<Withdrawal>(8, 1, &[5]),
        Err(unregistered(8, "withdrawal", 1)),
        "nothing under its kind"
    );
    assert_eq!(
        kinds.decode::<Deposit>(7, 1, &[5]),
        Err(unregistered(7, "deposit", 1)),
        "another version under its kind"
    );
    assert_eq!(
        kinds.decode::<OtherSeven>(7, 1, &[5]),
        Err(unregistered(7, "other", 1)),
        "another type under its kind"
    );
}

#[test]
fn a_refused_payload_says_at_which_version() {
    let kinds = deposit_3().build().expect("a whole chain");
    let refused = |version, message: &'static str| KindError::Payload {
        name: "deposit",
        version,
        error: PayloadError::new(message),
    };
    assert_eq!(
        kinds.decode::<Deposit3>(7, 1, &[9]),
        Err(refused(2, "nines cannot be upcast")),
        "by the second upcast"
    );
    assert_eq!(kinds.decode::<Deposit3>(7, 3, &[]), Err(refused(3, "it is empty")), "by the type");
}

#[test]
fn registering_a_type_again_changes_nothing() {
    let kinds = Kinds::builder().register::<Deposit>().register::<Deposit>().build();
    let names: Vec<_> = kinds.expect("the same twice").names().collect();
    assert_eq!(names, [(7, "deposit")]);
}

#[test]
fn kinds_and_names_that_clash_are_found_at_start() {
    let twice = |second, second_version| KindsError::KindTwice {
        kind: 7,
        first: "deposit",
        first_version: 1,
        second,
        second_version,
    };
    let deposit = Kinds::builder().register::<Deposit>();
    assert_eq!(
        deposit.clone().register::<OtherSeven>().build().err(),
        Some(twice("other", 1)),
        "one kind, two names"
    );
    assert_eq!(
        deposit.clone().register::<Deposit3>().build().err(),
        Some(twice("deposit", 3)),
        "one kind, two versions"
    );
    assert_eq!(
        deposit.register::<DepositAsNine>().build().err(),
        Some(KindsError::NameTwice { name: "deposit", first: 7, second: 9 }),
        "one name, two kinds"
    );
}

#[test]
fn kinds_of_the_journal_are_refused() {
    assert!(Kinds::builder().register::<LastFree>().build().is_ok());
    for (build, kind) in [
        (Kinds::builder().register::<FirstReserved>().build(), 0xF000),
        (Kinds::builder().register::<LastReserved>().build(), 0xFFFF),
    ] {
        assert!(matches!(build, Err(KindsError::Reserved { kind: found, .. }) if found == kind));
    }
}

#[test]
fn empty_names_and_version_zero_are_refused() {
    let build = |builder: KindsBuilder| builder.build().err();
    assert_eq!(
        build(Kinds::builder().register::<Nameless>()),
        Some(KindsError::NameLength { kind: 10, bytes: 0 })
    );
    assert_eq!(
        build(Kinds::builder().register::<Versionless>()),
        Some(KindsError::VersionZero { kind: 10, name: "versionless" })
    );
}

#[test]
fn an_incomplete_chain_of_upcasts_is_found_at_start() {
    let missing =
        |from_version| Some(KindsError::UpcastMissing { kind: 7, name: "deposit", from_version });
    let deposit = Kinds::builder().register::<Deposit3>();
    assert_eq!(deposit.clone().build().err(), missing(1), "none at all");
    assert_eq!(deposit.clone().upcast(7, 2, append_3).build().err(), missing(1), "no first");
    assert_eq!(deposit.upcast(7, 1, append_2).build().err(), missing(2), "no last");
}

#[test]
fn upcasts_that_lead_nowhere_or_twice_are_found_at_start() {
    let nowhere = |kind, from_version| Some(KindsError::UpcastWithoutUse { kind, from_version });
    assert_eq!(deposit_3().upcast(7, 3, append_3).build().err(), nowhere(7, 3), "from the newest");
    assert_eq!(deposit_3().upcast(7, 0, append_3).build().err(), nowhere(7, 0), "from version 0");
    assert_eq!(deposit_3().upcast(8, 1, append_3).build().err(), nowhere(8, 1), "unknown kind");
    assert_eq!(
        deposit_3().upcast(7, 1, append_3).build().err(),
        Some(KindsError::UpcastTwice { kind: 7, from_version: 1 })
    );
}

#[test]
fn a_journal_that_knows_a_kind_by_another_name_is_refused() {
    let kinds = Kinds::builder().register::<Deposit>().register::<Withdrawal>().build();
    let kinds = kinds.expect("no clash");
    let stored = |kind: u16, name: &str| [(99, "gone".to_owned()), (kind, name.to_owned())];
    assert_eq!(kinds.check_against(&stored(7, "deposit")), Ok(()));
    for (stored_kind, stored_name) in [(7, "payment"), (6, "deposit")] {
        let clash = KindsError::StoredOtherwise {
            kind: 7,
            name: "deposit",
            stored_kind,
            stored_name: stored_name.to_owned(),
        };
        assert_eq!(kinds.check_against(&stored(stored_kind, stored_name)), Err(clash));
    }
    let own: Vec<_> = kinds.names().map(|(kind, name)| (kind, name.to_owned())).collect();
    assert_eq!(kinds.check_against(&own), Ok(()), "what it keeps itself");
}
