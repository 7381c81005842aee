//! Following a store that another process writes (rule R23).
//!
//! 1. Has the run set been replaced, everything is made of it again, as in an open: what its runs hold
//!    leaves the tail. Runs that are open stay open.
//! 2. Otherwise the chain is followed to its durable end, and what it says is applied.
//!
//! Views keep the state that they began with: what they have open they can read on.

use crate::{
    Error,
    open::Opened,
    run_set::SetFile,
    shared::{Chain, Shared},
};

impl Shared {
    /// Sees what was written since.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        if !matches!(*self.chain(), Chain::Reader(_)) {
            return Ok(());
        }
        let _keeping = self.keeping.lock().expect("nobody panics while keeping");
        let head = SetFile::read_head(&*self.disk, &self.folder)?;
        if head.is_some() && head != self.mirror().set_head {
            return self.load_set(&mut Opened::default());
        }
        self.history.refresh()?;
        let mut mirror = self.mirror();
        let mut state = self.state();
        let followed = self.catch_up(&mut mirror, &mut state);
        *self.state.write().expect("nobody panics while holding it") = state;
        followed
    }
}
