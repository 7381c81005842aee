//! The journal's signed heads: records of 256 bytes in the file `heads`, one behind the other.
//!
//! - A head is signed only when it is durable, so no record ever states what a loss of power takes.
//! - A record that the power left half written is the last one, and is written over by the next.
//! - A head that was signed before is not signed again: an idle journal writes nothing.
//!
//! Who wants to find out that a history was rewritten keeps signed heads elsewhere: whoever can
//! rewrite the journal can rewrite this file, but not sign it.
//!
//! What it does *not* do: verify signatures; the public key is the caller's.

use std::{path::Path, sync::Arc};

use icecore_disk::{Access, Disk, DiskFile};

use crate::{
    Error, Head, SIGNED_HEAD_BYTES, SignedHead,
    history::History,
    journal::{Journal, Shared},
};

/// The file of signed heads.
pub(crate) const HEADS_NAME: &str = "heads";

/// Records read at a time.
const RECORDS_AT_ONCE: usize = 256;

/// What is known of the file while the journal is open for writing.
#[derive(Debug, Default)]
pub(crate) struct Signing {
    file: Option<Arc<dyn DiskFile>>,
    /// Sound records in it.
    count: u64,
    /// Frames of the last head.
    frame_count: Option<u64>,
    signed_at: u64,
}

/// Reads all signed heads, in order; a last record that does not check is left out.
pub(crate) fn read_heads(
    disk: &dyn Disk,
    folder: &Path,
    mut visit: impl FnMut(SignedHead) -> Result<(), Error>,
) -> Result<u64, Error> {
    let path = folder.join(HEADS_NAME);
    let file = match disk.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let end = file.bytes()?;
    let mut buffer = vec![0; RECORDS_AT_ONCE * SIGNED_HEAD_BYTES];
    let mut at = 0;
    loop {
        let read = file.read_at(at, &mut buffer)?;
        let (records, _) = buffer[..read].as_chunks::<SIGNED_HEAD_BYTES>();
        if records.is_empty() {
            return Ok(at / SIGNED_HEAD_BYTES as u64);
        }
        for record in records {
            let next = at + SIGNED_HEAD_BYTES as u64;
            match SignedHead::decode(record) {
                Ok(head) => visit(head)?,
                Err(_) if next + SIGNED_HEAD_BYTES as u64 > end => {
                    return Ok(at / SIGNED_HEAD_BYTES as u64);
                }
                Err(malformed) => return Err(malformed.in_file(&path, at)),
            }
            at = next;
        }
    }
}

impl History {
    /// The signed heads that lie with the journal, from the first on: 256 bytes of memory each. Their
    /// signatures have not been looked at (see [`SignedHead::verify`]).
    ///
    /// # Errors
    /// [`Error::Corrupt`] when one that is not the last does not check.
    pub fn signed_heads(&self) -> Result<Vec<SignedHead>, Error> {
        let mut heads = Vec::new();
        read_heads(&*self.disk, &self.folder, |head| {
            heads.push(head);
            Ok(())
        })?;
        Ok(heads)
    }
}

impl Journal {
    /// Signs the head of what is durable now and keeps it with the journal. A head that was signed
    /// before is given again, with a new signature, and not kept twice.
    ///
    /// # Errors
    /// [`Error::NoSigningKey`] when the journal was opened without a key; what the disk said.
    pub fn sign_head(&self) -> Result<SignedHead, Error> {
        let head = self.head()?;
        self.shared.sign(head)
    }
}

impl Shared {
    /// Signs the durable head if that is wanted, due, and has not been done.
    pub(crate) fn sign_if_due(&self, is_closing: bool) -> Result<(), Error> {
        if self.options.signing_key.is_none() {
            return Ok(());
        }
        let now = self.disk.now();
        let is_due = {
            let signing = self.signing.lock().expect("nobody panics while holding it");
            let passed = now.checked_sub(signing.signed_at);
            passed.is_none_or(|passed| u128::from(passed) >= self.options.sign_interval.as_nanos())
        };
        if is_due || is_closing {
            self.sign(self.head()?)?;
        }
        Ok(())
    }

    fn sign(&self, head: Head) -> Result<SignedHead, Error> {
        let key = self.options.signing_key.as_ref().ok_or(Error::NoSigningKey)?;
        self.watermarks.check()?;
        let signed = SignedHead::sign(head, key);
        let mut signing = self.signing.lock().expect("nobody panics while holding it");
        if signing.file.is_none() {
            self.open_heads(&mut signing)?;
        }
        signing.signed_at = self.disk.now();
        if signing.frame_count.is_some_and(|known| known >= head.frame_count) {
            return Ok(signed);
        }
        let file = signing.file.as_ref().expect("opened just now");
        file.write_at(signing.count * SIGNED_HEAD_BYTES as u64, &signed.encode())?;
        if let Err(error) = file.sync() {
            let error = Error::from(error);
            self.watermarks.poison(&error);
            return Err(error);
        }
        signing.count += 1;
        signing.frame_count = Some(head.frame_count);
        Ok(signed)
    }

    fn open_heads(&self, signing: &mut Signing) -> Result<(), Error> {
        let mut last = None;
        signing.count = read_heads(&*self.disk, &self.folder, |head| {
            last = Some(head.head.frame_count);
            Ok(())
        })?;
        signing.frame_count = last;
        let path = self.folder.join(HEADS_NAME);
        signing.file = Some(match self.disk.open(&path, Access::ReadWrite) {
            Err(error) if error.is_absent() => {
                let file = self.disk.create(&path)?;
                self.disk.sync_folder(&self.folder)?;
                file
            }
            opened => opened?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_disk::SimulatedDisk;

    use super::*;
    use crate::{
        AppendOptions, Batch, CreateOptions, Durability, NewEvent, Options, PublicKey, SigningKey,
    };

    const FOLDER: &str = "/journal";

    fn options() -> Options {
        Options {
            background: false,
            stream_heads_max: 1 << 10,
            signing_key: Some(Arc::new(SigningKey::from_secret(&[7; 32]))),
            sign_interval: Duration::from_secs(10),
            ..Options::default()
        }
    }

    fn public_key() -> PublicKey {
        SigningKey::from_secret(&[7; 32]).public_key()
    }

    fn append(journal: &Journal) {
        let batch = Batch::of(&NewEvent::new(b"stream", 1, b"payload")).expect("fits");
        let durability = Durability::Durable;
        journal
            .append(&batch, &AppendOptions { durability, ..AppendOptions::default() })
            .expect("appended");
    }

    #[test]
    fn durable_heads_are_signed_at_the_cadence_once_each_and_on_close() {
        let disk = SimulatedDisk::new(1);
        let create = CreateOptions::default();
        let journal =
            Journal::create_on(Arc::new(disk.clone()), FOLDER, create, options()).expect("created");
        append(&journal);
        journal.tend().expect("tended");
        for _ in 0..5 {
            append(&journal);
            journal.tend().expect("tended");
        }
        assert_eq!(journal.signed_heads().expect("readable").len(), 1, "not due again");
        disk.advance(11_000_000_000);
        journal.tend().expect("tended");
        disk.advance(11_000_000_000);
        journal.tend().expect("tended");
        assert_eq!(journal.signed_heads().expect("readable").len(), 2, "nothing new");
        append(&journal);
        journal.close().expect("closed");
        let journal = Journal::open_on(Arc::new(disk), FOLDER, options()).expect("opened");
        let heads = journal.signed_heads().expect("readable");
        let counts: Vec<_> = heads.iter().map(|head| head.head.frame_count).collect();
        assert_eq!(counts, [1, 6, 7]);
        for head in &heads {
            let head = head.verify(&public_key()).expect("signed");
            journal.prove(0, head).expect("of this journal");
        }
    }

    #[test]
    fn a_head_that_the_power_left_half_written_is_left_out_and_written_over() {
        let disk = SimulatedDisk::new(1);
        let create = CreateOptions::default();
        let journal =
            Journal::create_on(Arc::new(disk.clone()), FOLDER, create, options()).expect("created");
        append(&journal);
        journal.sign_head().expect("signed");
        append(&journal);
        journal.sign_head().expect("signed");
        journal.close().expect("closed");
        let path = Path::new(FOLDER).join(HEADS_NAME);
        disk.flip_bit(&path, 256 + 100, 3);
        let journal = Journal::open_on(Arc::new(disk.clone()), FOLDER, options()).expect("opened");
        assert_eq!(journal.signed_heads().expect("readable").len(), 1);
        append(&journal);
        journal.sign_head().expect("signed");
        assert_eq!(journal.signed_heads().expect("readable").len(), 2);
        disk.flip_bit(&path, 100, 3);
        assert!(matches!(journal.signed_heads(), Err(Error::Corrupt { offset: 4, .. })));
    }
}
