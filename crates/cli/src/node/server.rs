//! The node's side of the socket.
//!
//! 1. One thread waits for clients, of which there are [`CLIENTS_MAX`] at most; who comes beyond that
//!    is told so.
//! 2. Each client has a thread, which reads a line, does what it says, and answers. A client that takes
//!    longer than [`PATIENCE`] to give a line, or to take an answer, is left.
//! 3. At the end no more clients are let in, those that are silent are left at once, and what is being
//!    done is waited for.
//!
//! What it does *not* do: trust a client with more than the requests there are; lines and files are
//! looked at like any other input.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    ops::ControlFlow,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Scope},
    time::Duration,
};

use icecore_batch::service::{Kind, Service, Wanted};
use icecore_disk::Stopwatch;
use icecore_store::{Error, SlotState, Store, ingest::IngestOptions};
use icecore_types::{Hash, Slot};
use serde_json::{Value, json};

use super::{Reply, Request, snapshots, socket};
use crate::{
    exit::{Exit, Failure},
    feed_input::FeedInput,
    ingesting::ingest,
    interrupt::Interrupt,
    writing::disk,
};

/// Clients at the same time, at most.
const CLIENTS_MAX: usize = 32;

/// Bytes of a request, at most.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// How long a client may take to give a line or to take one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the thread that waits for clients rests when the system has no descriptor for one more.
const REST: Duration = Duration::from_millis(100);

/// A node that can be asked.
pub(crate) struct Server<'s, 'm> {
    store: &'s Store,
    /// What makes snapshots, if the node does.
    service: Option<&'s Service<'m>>,
    interrupt: Interrupt,
    listener: UnixListener,
    path: PathBuf,
    has_ended: AtomicBool,
    clients: Mutex<Clients>,
    /// Held by who ingests, and by who compacts.
    ingesting: Mutex<()>,
    compacting: Mutex<()>,
}

#[derive(Default)]
struct Clients {
    next: u64,
    streams: BTreeMap<u64, UnixStream>,
}

impl<'s, 'm> Server<'s, 'm> {
    /// Listens at the socket of a store that this process has open for writing: whatever is there was
    /// left behind.
    pub(crate) fn listen(
        store: &'s Store,
        service: Option<&'s Service<'m>>,
        folder: &Path,
        interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let path = socket(folder);
        Ok(Self {
            store,
            service,
            interrupt,
            listener: icecore_disk::listen(&path)?,
            path,
            has_ended: AtomicBool::new(false),
            clients: Mutex::default(),
            ingesting: Mutex::new(()),
            compacting: Mutex::new(()),
        })
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Begins to let clients in.
    pub(crate) fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        scope.spawn(move || {
            loop {
                let accepted = self.listener.accept();
                if self.has_ended.load(Ordering::Acquire) {
                    return;
                }
                match accepted {
                    Ok((stream, _)) => self.let_in(scope, stream),
                    Err(_) => thread::sleep(REST),
                }
            }
        });
    }

    /// No more clients, and no more requests; the socket loses its name.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        // The thread that waits for clients has to notice.
        let _ = icecore_disk::connect(&self.path);
        for stream in self.clients().streams.values() {
            let _ = stream.shutdown(std::net::Shutdown::Read);
        }
        // Left behind, the next node takes it over.
        let _ = disk().remove(&self.path);
    }

    /// Ingests a feed, unless one is being ingested.
    pub(crate) fn ingest(
        &self,
        input: &mut FeedInput,
        options: IngestOptions,
    ) -> Result<crate::ingesting::Report, Failure> {
        let Ok(_alone) = self.ingesting.try_lock() else {
            return Err(Failure::Busy("a feed is being ingested".into()));
        };
        ingest(self.store, input, options, &mut |_, _| match self.is_ending() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn is_ending(&self) -> bool {
        self.has_ended.load(Ordering::Acquire) || self.interrupt.is_wanted()
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().expect("nobody panics while holding it")
    }

    fn let_in<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, mut stream: UnixStream) {
        let is_set = stream
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
            .and_then(|()| stream.try_clone());
        // Without a time limit it could keep the node from ending.
        let Ok(other) = is_set else { return };
        let mut clients = self.clients();
        if clients.streams.len() >= CLIENTS_MAX {
            drop(clients);
            let message = format!("{CLIENTS_MAX} clients are connected already");
            let _ = say(&mut stream, &Reply::Busy { message });
            return;
        }
        let number = clients.next;
        clients.next += 1;
        clients.streams.insert(number, other);
        drop(clients);
        scope.spawn(move || {
            // A client that is gone, or too slow, is no trouble of the node's.
            let _ = self.serve(&mut stream);
            self.clients().streams.remove(&number);
        });
    }

    fn serve(&self, stream: &mut UnixStream) -> io::Result<()> {
        let mut lines = Lines::default();
        while !self.is_ending() {
            let Some(line) = lines.next(stream)? else { return Ok(()) };
            match serde_json::from_slice::<Request>(&line) {
                Ok(request) => self.answer(stream, request)?,
                Err(error) => {
                    let message = format!("the request is not understood: {error}");
                    say(stream, &Reply::Error { message, exit_code: Exit::Usage.code() })?;
                }
            }
        }
        Ok(())
    }

    fn answer(&self, stream: &mut UnixStream, request: Request) -> io::Result<()> {
        let done = match request {
            Request::Stats => Ok(self.stats()),
            Request::Root { slot, bank_hash } => self.root(slot, bank_hash),
            Request::Compact => {
                say(stream, &Reply::Accepted)?;
                self.compact()
            }
            Request::Ingest { file, until, allow_gap } => {
                say(stream, &Reply::Accepted)?;
                let options = IngestOptions { until, allow_gap };
                FeedInput::open(&file)
                    .and_then(|mut input| self.ingest(&mut input, options))
                    .and_then(|report| Ok(serde_json::to_value(report).map_err(io::Error::from)?))
            }
            Request::Snapshot { slot } => {
                return self.make(stream, Wanted::Snapshot { kind: Kind::Full, slot });
            }
            Request::Incremental { slot } => {
                return self.make(stream, Wanted::Snapshot { kind: Kind::Incremental, slot });
            }
            Request::AccountsHash { slot } => {
                return self.make(stream, Wanted::AccountsHash { slot });
            }
        };
        let reply = match done {
            Ok(result) => Reply::Done { result },
            Err(Failure::Busy(message)) => Reply::Busy { message },
            Err(failure) => {
                Reply::Error { message: failure.to_string(), exit_code: failure.exit().code() }
            }
        };
        say(stream, &reply)
    }

    /// What the batch service does. A client that goes meanwhile changes nothing.
    fn make(&self, stream: &mut UnixStream, wanted: Wanted) -> io::Result<()> {
        match snapshots::reply(self.service, self.store, wanted) {
            Ok(refused) => say(stream, &refused),
            Err(waiting) => {
                say(stream, &Reply::Accepted)?;
                say(stream, &snapshots::outcome(waiting.wait()))
            }
        }
    }

    fn stats(&self) -> Value {
        let coverage = self.store.coverage();
        let slots = self.store.slots();
        let count = |state: SlotState| slots.iter().filter(|slot| slot.state == state).count();
        json!({
            "process": std::process::id(),
            "first": coverage.first,
            "root": coverage.last,
            "unrooted_slots": count(SlotState::Committed),
            "open_slots": count(SlotState::Open),
            "ingesting": self.ingesting.try_lock().is_err(),
            "keeping_error": self.store.keeping_error(),
            "snapshots": self.service.map(|service| snapshots::status_json(&service.status())),
        })
    }

    fn root(&self, slot: Slot, bank_hash: Option<Hash>) -> Result<Value, Failure> {
        let id = self.store.find_fork(slot, bank_hash)?;
        match self.store.slot(id).map(|slot| slot.state) {
            Some(SlotState::Rooted) => {}
            _ => self.store.root(id)?.wait()?,
        }
        let root = self.store.root_slot().ok_or(Error::Empty)?;
        Ok(json!({ "root": root.number, "bank_hash": root.bank.bank_hash }))
    }

    fn compact(&self) -> Result<Value, Failure> {
        let Ok(_alone) = self.compacting.try_lock() else {
            return Err(Failure::Busy("the store is being compacted".into()));
        };
        crate::commands::store::compact(self.store)
    }
}

/// Writes an answer.
fn say(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The lines that a client gives.
#[derive(Default)]
struct Lines {
    read: Vec<u8>,
}

impl Lines {
    /// The next line; `None`: there are no more.
    fn next(&mut self, stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
        let stopwatch = Stopwatch::start();
        let mut piece = [0; 4096];
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let rest = self.read.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                return Ok(Some(line));
            }
            // All of a line within the time: byte by byte it would last for ever.
            let left = PATIENCE.saturating_sub(stopwatch.elapsed());
            if self.read.len() > REQUEST_BYTES_MAX || left.is_zero() {
                let message = format!(
                    "a request has {REQUEST_BYTES_MAX} bytes at most, and comes within {} seconds",
                    PATIENCE.as_secs()
                );
                say(stream, &Reply::Error { message, exit_code: Exit::Usage.code() })?;
                return Ok(None);
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut piece)? {
                0 => return Ok(None),
                count => self.read.extend_from_slice(&piece[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_bounded() {
        let (mut client, mut node) = UnixStream::pair().expect("a pair");
        client.write_all(b"{\"a\"").expect("written");
        let feeder = thread::spawn(move || {
            client.write_all(b":1}\nsecond\n").expect("written");
            client.write_all(&vec![b'x'; REQUEST_BYTES_MAX * 2]).expect("written");
            let mut reply = [0; 19];
            client.read_exact(&mut reply).expect("an answer");
            assert_eq!(&reply[..], b"{\"answer\":\"error\",\"");
        });
        let mut lines = Lines::default();
        assert_eq!(lines.next(&mut node).expect("read").as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(lines.next(&mut node).expect("read").as_deref(), Some(&b"second"[..]));
        assert_eq!(lines.next(&mut node).expect("told"), None);
        feeder.join().expect("the client was answered");
    }
}
