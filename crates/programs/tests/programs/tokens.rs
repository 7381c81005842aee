//! Token accounts, mints and extensions, built by hand.

use icecore_programs::token::{
    Authority, Extension, ExtensionKind, Mint, Multisig, TokenAccount, TokenAccountState,
    token_account_mint_owner_amount,
};
use icecore_types::{Pubkey, programs};

use crate::bytes::{Bytes, key};

const SYSTEM: Pubkey = programs::SYSTEM;
const TOKEN: Pubkey = programs::TOKEN;
const TOKEN_2022: Pubkey = programs::TOKEN_2022;

pub(crate) fn account() -> Bytes {
    let bytes = Bytes::new().key(1).key(2).u64(42);
    let bytes = bytes.u32(1).key(3).u8(2).u32(0).u64(77);
    bytes.u64(40).u32(1).key(4)
}

pub(crate) fn mint() -> Bytes {
    let bytes = Bytes::new().u32(1).key(5).u64(1_000).u8(6).u8(1);
    bytes.u32(0).key(9)
}

pub(crate) fn multisig() -> Vec<u8> {
    Bytes::new().u8(2).u8(3).u8(1).key(1).key(2).key(3).zeros(8 * 32).0
}

fn extension(bytes: Bytes, kind: u16, value: &[u8]) -> Bytes {
    let length = u16::try_from(value.len()).expect("short");
    bytes.u16(kind).u16(length).raw(value)
}

fn mint_with(kind: u16, value: &[u8]) -> Vec<u8> {
    extension(mint().zeros(83).u8(1), kind, value).0
}

#[test]
fn fields_lie_where_the_layout_says() {
    let data = account().0;
    let account = TokenAccount::decode(&TOKEN, &data).expect("valid");
    assert_eq!((account.mint, account.owner, account.amount), (key(1), key(2), 42));
    assert_eq!((account.delegate, account.delegated_amount), (Some(key(3)), 40));
    assert_eq!(account.state, TokenAccountState::Frozen);
    assert_eq!(account.native_reserve, None, "its bytes are there, its tag says none");
    assert_eq!(account.close_authority, Some(key(4)));
    assert_eq!(token_account_mint_owner_amount(&data), Some((key(1), key(2), 42)));

    let data = mint().0;
    let mint = Mint::decode(&TOKEN, &data).expect("valid");
    assert_eq!((mint.mint_authority, mint.supply, mint.decimals), (Some(key(5)), 1_000, 6));
    assert_eq!(mint.freeze_authority, None);

    let data = multisig();
    let multisig = Multisig::decode(&TOKEN, &data).expect("valid");
    assert_eq!((multisig.signers_required, multisig.signers_valid), (2, 3));
    assert_eq!(multisig.signers.len(), 11);
    assert_eq!(multisig.signers.get(2), Some(key(3)));
}

#[test]
fn the_owner_decides_and_no_state_is_taken_for_another() {
    let states = [
        account().0,
        mint().0,
        multisig(),
        extension(account().u8(2), 7, &[]).0,
        mint_with(3, &[1; 32]),
        account().u8(2).0,
        mint().zeros(83).u8(1).0,
    ];
    let found = |owner: &Pubkey, data: &[u8]| {
        [
            TokenAccount::decode(owner, data).is_some(),
            Mint::decode(owner, data).is_some(),
            Multisig::decode(owner, data).is_some(),
        ]
    };
    let (is_account, is_mint, is_multisig) =
        ([true, false, false], [false, true, false], [false, false, true]);
    let expected = [is_account, is_mint, is_multisig, is_account, is_mint, is_account, is_mint];
    for (index, (data, expected)) in states.iter().zip(expected).enumerate() {
        assert_eq!(found(&TOKEN_2022, data), expected, "state {index}");
        assert_eq!(found(&SYSTEM, data), [false; 3], "state {index}");
        let plain = if index < 3 { expected } else { [false; 3] };
        assert_eq!(found(&TOKEN, data), plain, "state {index}");
        let cheap = token_account_mint_owner_amount(data);
        assert_eq!(cheap.is_some(), expected == is_account, "state {index}");
    }
    let mut padded = mint_with(3, &[1; 32]);
    padded[100] = 1;
    assert_eq!(found(&TOKEN_2022, &padded), [false; 3], "padding is zero");
    let mut account_of_multisig_length = extension(account().u8(2), 1, &[]).0;
    account_of_multisig_length.resize(355, 0);
    assert_eq!(found(&TOKEN_2022, &account_of_multisig_length)[..2], [false; 2]);
    assert_eq!(token_account_mint_owner_amount(&account_of_multisig_length), None);
}

#[test]
fn extensions_end_at_the_first_that_is_not_whole() {
    let two = extension(extension(account().u8(2), 7, &[]), 2, &9u64.to_le_bytes());
    let data = extension(two.clone(), 11, &[1]).0;
    let whole = [166, 170, 182, 187];
    for at in 166..=data.len() {
        let account = TokenAccount::decode(&TOKEN_2022, &data[..at]).expect("the base is whole");
        let expected = whole.iter().filter(|end| **end <= at).count() - 1;
        assert_eq!(account.extensions.iter().count(), expected, "cut at {at}");
        assert_eq!(account.extensions.is_empty(), expected == 0);
    }
    // Kind 0 ends the list, whatever follows; a length beyond the data does as well.
    for tail in [&[0, 0, 1, 0, 7, 11, 0, 1, 0, 1][..], &[11, 0, 0xff, 0xff, 1]] {
        let data = two.clone().raw(tail).0;
        let account = TokenAccount::decode(&TOKEN_2022, &data).expect("valid");
        assert_eq!(account.extensions.iter().count(), 2);
        let fee = account.extensions.find(ExtensionKind::TRANSFER_FEE_AMOUNT);
        assert_eq!(
            fee.and_then(|fee| fee.decode()),
            Some(Extension::TransferFeeAmount { withheld_amount: 9 })
        );
        assert_eq!(account.extensions.find(ExtensionKind::CPI_GUARD), None);
    }
}

#[test]
fn a_value_of_another_length_stays_raw() {
    for length in [0, 31, 33] {
        let data = mint_with(12, &vec![7; length]);
        let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
        let extension = mint.extensions.iter().next().expect("one");
        assert_eq!(extension.kind, ExtensionKind::PERMANENT_DELEGATE);
        assert_eq!(extension.kind.name(), Some("permanentDelegate"));
        assert_eq!((extension.value.len(), extension.decode()), (length, None));
    }
    for (byte, delegate) in [(7, Some(key(7))), (0, None)] {
        let data = mint_with(12, &[byte; 32]);
        let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
        assert_eq!(
            mint.extensions.iter().next().expect("one").decode(),
            Some(Extension::PermanentDelegate { delegate: Authority(delegate) })
        );
    }
}

#[test]
fn extensions_that_stay_raw_are_shown_by_name_and_bytes() {
    for (kind, name) in [(5, "confidentialTransferAccount"), (777, "unknown")] {
        let data = mint_with(kind, &[0xab, 1]);
        let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
        assert_eq!(mint.extensions.iter().next().expect("one").decode(), None);
        let shown = serde_json::to_value(mint.extensions).expect("serializes");
        let expected = serde_json::json!([{"extension": name, "kind": kind, "value": "ab01"}]);
        assert_eq!(shown, expected);
    }
}

#[test]
fn metadata_is_read_in_place_and_cut_nowhere() {
    let value = Bytes::new().key(0).key(8).text("Näme").text("").text("https://x");
    let value = value.u32(2).text("a").text("b").text("").text("c").0;
    let data = mint_with(19, &value);
    let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
    let extension = mint.extensions.iter().next().expect("one").decode();
    let Some(Extension::TokenMetadata(metadata)) = extension else {
        panic!("{extension:?}");
    };
    assert_eq!((metadata.update_authority, metadata.mint), (Authority(None), key(8)));
    assert_eq!((metadata.name, metadata.symbol, metadata.uri), ("Näme", "", "https://x"));
    assert!(metadata.additional_metadata.iter().eq([("a", "b"), ("", "c")]));
    for at in 0..value.len() {
        let data = mint_with(19, &value[..at]);
        let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
        assert_eq!(mint.extensions.iter().next().expect("one").decode(), None, "cut at {at}");
    }
    let mut many = value.clone();
    let count = 64 + 4 + 5 + 4 + 4 + 9;
    many[count..count + 4].fill(0xff);
    let data = mint_with(19, &many);
    let mint = Mint::decode(&TOKEN_2022, &data).expect("valid");
    assert_eq!(mint.extensions.iter().next().expect("one").decode(), None);
}
