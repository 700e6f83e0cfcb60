//! Names within this process: where the two ends of a `mem` link meet.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Link, mem_pair};

/// Links that may wait to be accepted under a name.
const BACKLOG: usize = 128;

/// Who listens under which name.
static NAMES: Mutex<Option<HashMap<String, Arc<Waiting>>>> = Mutex::new(None);

/// The ends that wait under a name.
#[derive(Default)]
struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    links: VecDeque<Link>,
    listener: Option<Waker>,
}

/// A name, taken. Dropped, it is free again, and the ends that wait are closed.
pub(crate) struct Name {
    name: String,
    waiting: Arc<Waiting>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why nobody could be reached under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// Nobody listens.
    Absent,
    /// As many wait already as may.
    Busy,
}

/// An end of a new link to whoever listens under `name`.
pub(crate) fn reach(name: &str) -> Result<Link, Unreached> {
    let waiting =
        lock(&NAMES).as_ref().and_then(|names| names.get(name).cloned()).ok_or(Unreached::Absent)?;
    let mut queue = lock(&waiting.0);
    if queue.links.len() >= BACKLOG {
        return Err(Unreached::Busy);
    }
    let (here, there) = mem_pair();
    queue.links.push_back(there);
    let listener = queue.listener.take();
    drop(queue);
    if let Some(listener) = listener {
        listener.wake();
    }
    Ok(here)
}

impl Name {
    /// Takes `name`, unless somebody has it.
    pub(crate) fn take(name: &str) -> Option<Self> {
        let mut names = lock(&NAMES);
        let names = names.get_or_insert_default();
        if names.contains_key(name) {
            return None;
        }
        let waiting = Arc::new(Waiting::default());
        names.insert(name.to_owned(), Arc::clone(&waiting));
        Some(Self { name: name.to_owned(), waiting })
    }

    /// The next end that waits.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Link> {
        let mut queue = lock(&self.waiting.0);
        match queue.links.pop_front() {
            Some(link) => Poll::Ready(link),
            None => {
                queue.listener = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if let Some(names) = lock(&NAMES).as_mut() {
            names.remove(&self.name);
        }
    }
}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Name").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_meet_under_a_name_which_is_one_holders() {
        let name = Name::take("names::meet").unwrap();
        assert!(Name::take("names::meet").is_none());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(name.poll_accept(&mut cx).is_pending());
        let _here = reach("names::meet").unwrap();
        assert!(name.poll_accept(&mut cx).is_ready());
        let waiting: Vec<_> = (0..BACKLOG).map(|_| reach("names::meet").unwrap()).collect();
        assert_eq!(reach("names::meet").err(), Some(Unreached::Busy));
        drop(name);
        assert_eq!(reach("names::meet").err(), Some(Unreached::Absent));
        drop(waiting);
    }
}
