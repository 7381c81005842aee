//! The events of a journal as a graph: what `causality` asks its questions of.

use crate::{
    Causality, Error, Graph, Node, append::event_node, history::History, index::IndexKind,
    lookup::Search,
};

impl History {
    /// Questions about ancestors, descendants and branches. Where an answer needs a walk, it looks at
    /// `bound` events at most.
    ///
    /// What was dropped is an error that names the gap ([`Error::Dropped`]). Descendants need the
    /// index by parent, which is declared when a journal is created ([`Error::NoIndex`]).
    pub fn causality(&self, bound: usize) -> Causality<'_, Self> {
        Causality::new(self, bound)
    }
}

impl Graph for History {
    type Error = Error;

    fn node(&self, sequence: u64) -> Result<Option<Node>, Error> {
        match self.read(sequence) {
            Ok(event) => Ok(Some(event_node(&event))),
            Err(Error::NoSuchEvent { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn children(&self, sequence: u64, after: Option<u64>, limit: usize) -> Result<Vec<u64>, Error> {
        if !self.identity.indexes.contains(&IndexKind::Parent) {
            return Err(Error::NoIndex { index: "parent" });
        }
        self.retry(|| {
            // A child comes behind its parents.
            let searched = after.unwrap_or(sequence).saturating_add(1)..self.end();
            let catalog = self.catalog();
            if let Some(dropped) = catalog.first_dropped(searched.clone())? {
                // It may have been a child: nobody knows.
                catalog.read(&self.identity, dropped)?;
                return Err(self.lost(dropped));
            }
            let mut search = Search::new(catalog, IndexKind::Parent, sequence, searched, false);
            let mut children = Vec::new();
            while children.len() < limit
                && let Some(child) = search.next()?
            {
                children.push(child);
            }
            Ok(children)
        })
    }
}
