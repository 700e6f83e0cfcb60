//! The one thread of a process that watches the lifelines of its blocking sessions.
//!
//! After a peer's death nobody changes the word that a sleeper waits on. A runtime sees the hang-up in its event
//! loop; sessions without one register here. The thread exists while anything is watched. What comes on a lifeline does
//! not wake it: that is for whoever takes the frame to which it belongs.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys;

/// A watched lifeline. Dropped, it is watched no more.
pub(crate) struct Watch {
    id: u64,
}

struct Watched {
    lifeline: OwnedFd,
    /// Called once, when the lifeline has hung up.
    hung_up: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct Watcher {
    next: u64,
    watched: HashMap<u64, Watched>,
    /// Gets the thread out of its wait; there while the thread is.
    event: Option<Arc<OwnedFd>>,
}

static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Watcher>> {
    WATCHER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Watches `lifeline` and calls `hung_up` once when it hangs up.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated or the thread cannot be started.
    pub(crate) fn new(lifeline: BorrowedFd<'_>, hung_up: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let lifeline = lifeline.try_clone_to_owned()?;
        let mut watcher = lock();
        let watcher = watcher.get_or_insert_default();
        let event = match &watcher.event {
            Some(event) => Arc::clone(event),
            None => {
                let event = Arc::new(sys::eventfd::create()?);
                let watched = Arc::clone(&event);
                std::thread::Builder::new().name("transom-watch".to_owned()).spawn(move || run(&watched))?;
                watcher.event = Some(Arc::clone(&event));
                event
            }
        };
        let id = watcher.next;
        watcher.next += 1;
        watcher.watched.insert(id, Watched { lifeline, hung_up: Box::new(hung_up) });
        sys::eventfd::signal(event.as_fd());
        Ok(Self { id })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watcher = lock();
        if let Some(watcher) = watcher.as_mut() {
            watcher.watched.remove(&self.id);
            if let Some(event) = &watcher.event {
                sys::eventfd::signal(event.as_fd());
            }
        }
    }
}

fn run(event: &OwnedFd) {
    loop {
        let lifelines: Vec<(u64, OwnedFd)> = {
            let mut watcher = lock();
            let Some(watcher) = watcher.as_mut() else { return };
            if watcher.watched.is_empty() {
                watcher.event = None;
                return;
            }
            // Duplicates: a lifeline that is dropped meanwhile must stay open until the wait is over.
            watcher
                .watched
                .iter()
                .filter_map(|(id, watched)| Some((*id, watched.lifeline.try_clone().ok()?)))
                .collect()
        };
        let mut descriptors = vec![(event.as_fd(), true, false)];
        descriptors.extend(lifelines.iter().map(|(_, lifeline)| (lifeline.as_fd(), false, false)));
        sys::poll::wait(&descriptors, None);
        sys::eventfd::clear(event.as_fd());
        for (id, lifeline) in &lifelines {
            if sys::poll::has_hung_up(lifeline) {
                let watched = lock().as_mut().and_then(|watcher| watcher.watched.remove(id));
                if let Some(watched) = watched {
                    (watched.hung_up)();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_hang_up_is_told_once_and_a_dropped_watch_is_not() {
        let (sender, receiver) = mpsc::channel();
        let watch = |name: &'static str| {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let sender = sender.clone();
            let watch = Watch::new(ours.as_fd(), move || sender.send(name).unwrap()).unwrap();
            (watch, ours, theirs)
        };
        let (_watch, _ours, theirs) = watch("kept");
        let (dropped, _ours2, theirs2) = watch("dropped");
        drop(dropped);
        drop(theirs2);
        drop(theirs);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok("kept"));
        assert!(receiver.try_recv().is_err());
    }
}
