//! Sockets between processes of one machine that have a name in a folder.
//!
//! A socket is made in a folder of its own that nobody else may enter, closed to all but its owner, and
//! only then given its name: at no time can another user connect. The name of one that a process left
//! behind is taken over.
//!
//! What it does *not* do: know what is said, or whether whoever listens is alive.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::{SocketAddr, UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
};

use crate::Error;

/// Listens at a path, for processes of this user alone.
///
/// # Errors
/// When the system says no, also to a path that is too long for a socket (100 bytes or so).
pub fn listen(path: &Path) -> Result<UnixListener, Error> {
    let failed = |source| Error::new(path, "listen at", source);
    // Whoever connects uses this path, not the one where it is made.
    SocketAddr::from_pathname(path).map_err(failed)?;
    let private = Private::beside(path).map_err(failed)?;
    let socket = private.folder.join("s");
    let listener = UnixListener::bind(&socket).map_err(failed)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&socket, path).map_err(failed)?;
    Ok(listener)
}

/// Connects to whoever listens at a path.
///
/// # Errors
/// [`Error::is_absent`] when there is no socket; [`Error::is_refused`] when nobody listens any more.
pub fn connect(path: &Path) -> Result<UnixStream, Error> {
    UnixStream::connect(path).map_err(|source| Error::new(path, "connect to", source))
}

/// A folder that only this user may enter, removed when dropped.
struct Private {
    folder: PathBuf,
}

impl Private {
    fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).join(format!(".{}", process::id()));
        // One that was left behind by another process of this number is empty, or holds a socket.
        let _ = fs::remove_file(folder.join("s"));
        let _ = fs::remove_dir(&folder);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.join("s"));
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_socket_is_its_owners_alone_and_takes_over_a_dead_ones_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("socket");
        assert!(connect(&path).expect_err("nothing is there").is_absent());
        drop(listen(&path).expect("listening"));
        let error = connect(&path).expect_err("nobody listens");
        assert!(error.is_refused(), "{error}");

        let listener = listen(&path).expect("listening again");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = connect(&path).expect("connected");
        client.write_all(b"x").expect("sent");
        let mut byte = [0];
        listener.accept().expect("accepted").0.read_exact(&mut byte).expect("received");
        assert_eq!(byte, *b"x");
        let entries: Vec<_> = fs::read_dir(folder.path()).expect("listed").collect();
        assert_eq!(entries.len(), 1, "nothing else is left: {entries:?}");
    }

    #[test]
    fn a_path_that_is_too_long_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("s".repeat(120));
        let error = listen(&path).expect_err("too long").to_string();
        assert!(error.contains("cannot listen at"), "{error}");
    }
}
