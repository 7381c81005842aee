//! Asking the node that has a store open.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{Reply, Request, socket};
use crate::exit::{Exit, Failure};

/// Bytes of an answer, at most.
const REPLY_BYTES_MAX: u64 = 1 << 20;

/// How long a node is waited for that only has to say who it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to a node.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

/// Connects to the node of a store; `None`: none is running.
pub(crate) fn connect(folder: &Path) -> Result<Option<Client>, Failure> {
    match icecore_disk::connect(&socket(folder)) {
        Ok(stream) => Ok(Some(Client { stream: BufReader::new(stream) })),
        Err(error) if error.is_absent() || error.is_refused() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The process id of the node that has a store open, if one answers.
pub(crate) fn process_of(folder: &Path) -> Option<u32> {
    let mut client = connect(folder).ok()??;
    client.stream.get_ref().set_read_timeout(Some(PATIENCE)).ok()?;
    let stats = client.ask(&Request::Stats).ok()?;
    u32::try_from(stats["process"].as_u64()?).ok()
}

impl Client {
    /// Asks, and waits until it is done.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Value, Failure> {
        let mut line = serde_json::to_vec(request).map_err(std::io::Error::from)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(gone)?;
        loop {
            match self.reply()? {
                Reply::Accepted => {}
                Reply::Done { result } => return Ok(result),
                Reply::Busy { message } => {
                    return Err(Failure::Busy(message));
                }
                Reply::SlotInPast { message } | Reply::NotAvailable { message } => {
                    return Err(Failure::Incomplete(message));
                }
                Reply::Error { message, exit_code } => {
                    let exit = Exit::of_code(exit_code);
                    return Err(Failure::Node { message, exit });
                }
            }
        }
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        let mut line = String::new();
        (&mut self.stream).take(REPLY_BYTES_MAX).read_line(&mut line).map_err(gone)?;
        serde_json::from_str(&line).map_err(|_| match line.is_empty() {
            true => Failure::System("the node has ended before it answered".into()),
            false => Failure::System(format!("the node's answer is not understood: {line:.200}")),
        })
    }
}

fn gone(error: std::io::Error) -> Failure {
    Failure::System(format!("the node does not answer: {error}"))
}
