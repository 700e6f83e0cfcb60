//! A host: the list of its cells.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::cell::{Cell, Handle, Keeper, Order};
use super::{Spawn, SpawnError};

/// What starts cells and keeps them alive. Clones are the same host.
///
/// ```no_run
/// # #[transom::service]
/// # trait Index { async fn count(&self, word: String) -> u64; }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::process::Command;
/// use transom::{Host, RestartPolicy};
///
/// let host = Host::new();
/// let cell = host.spawn(Command::new("./indexer")).restart(RestartPolicy::always()).start().await?;
/// let index: IndexClient = cell.client();
/// println!("{}", index.count(String::from("bell")).await?);
/// // Once it has died, calls of `index` end as disconnected; the next incarnation has clients of its own.
/// let index: IndexClient = cell.ready().await?.client();
/// # drop(index);
/// host.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it lets go of its cells: those of which nobody holds a handle are killed. [`shutdown`](Self::shutdown) ends them
/// all politely. It needs no runtime of its own: a cell is supervised by the runtime in which it was started.
#[derive(Clone, Default)]
pub struct Host {
    cells: Arc<Cells>,
}

/// The cells whose supervisors run.
#[derive(Default)]
struct Cells(Mutex<List>);

#[derive(Default)]
struct List {
    closed: bool,
    next: u64,
    cells: BTreeMap<u64, Entry>,
}

struct Entry {
    handle: Arc<Handle>,
    /// Once it has been ready; until then whoever waits for that keeps it.
    keeper: Option<Arc<Keeper>>,
}

/// A supervisor's place in the list, which it leaves when it ends.
pub(super) struct Listed {
    host: Weak<Cells>,
    id: u64,
}

impl Host {
    /// A host without cells.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepares a cell. Its process is `command`, whose standard input, output and error are the host's to use.
    pub fn spawn(&self, command: Command) -> Spawn {
        Spawn::new(self.clone(), command)
    }

    /// Ends all cells politely and at the same time, each as [`Cell::shutdown`] does, and waits until they are gone.
    /// No cell can be started here any more.
    ///
    /// # Cancel safety
    /// The shutdown goes on when this is dropped, as long as the cells are held.
    pub async fn shutdown(&self) {
        let handles: Vec<Arc<Handle>> = {
            let mut list = self.cells.lock();
            list.closed = true;
            list.cells.values().map(|entry| Arc::clone(&entry.handle)).collect()
        };
        for handle in &handles {
            handle.order(Order::ShutDown);
        }
        for handle in &handles {
            handle.over().await;
        }
    }

    /// Lists a cell that is about to start.
    ///
    /// # Errors
    /// [`SpawnError::ShutDown`] after the host's.
    pub(super) fn list(&self, cell: &Cell) -> Result<Listed, SpawnError> {
        let mut list = self.cells.lock();
        if list.closed {
            return Err(SpawnError::ShutDown);
        }
        let id = list.next;
        list.next += 1;
        list.cells.insert(id, Entry { handle: Arc::clone(cell.parts().0), keeper: None });
        Ok(Listed { host: Arc::downgrade(&self.cells), id })
    }

    /// Keeps a cell from now on, unless it is over already.
    pub(super) fn keep(&self, id: u64, cell: &Cell) {
        if let Some(entry) = self.cells.lock().cells.get_mut(&id) {
            entry.keeper = Some(Arc::clone(cell.parts().1));
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.cells.lock();
        f.debug_struct("Host").field("cells", &list.cells.len()).field("closed", &list.closed).finish()
    }
}

impl Cells {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(host) = self.host.upgrade() else { return };
        let entry = host.lock().cells.remove(&self.id);
        drop(entry);
    }
}
