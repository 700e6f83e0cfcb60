//! Callers: tasks and threads that ask one thing after the other.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread::{self, JoinHandle};

use transom::{CallError, CallOptions, Session};

use crate::numbers::Numbers;
use crate::sides::Ground;
use crate::work::{Ask, How, Outcome, WorksBlockingClient, WorksClient};

/// Whether a caller goes on: it is told what was asked and how that ended, `None` if it gave up.
pub trait Until: FnMut(&Ask, Option<Outcome>) -> bool + Send + 'static {}

impl<F: FnMut(&Ask, Option<Outcome>) -> bool + Send + 'static> Until for F {}

/// A task that asks.
async fn task(client: WorksClient, ways: &[How], mut numbers: Numbers, mut goes_on: impl Until) {
    loop {
        let ask = Ask::any(&mut numbers, ways, true);
        let outcome = ask_once(&client, &ask).await;
        if !goes_on(&ask, outcome) {
            return;
        }
    }
}

async fn ask_once(client: &WorksClient, ask: &Ask) -> Option<Outcome> {
    let (bytes, length) = (ask.bytes(), ask.lengths[1]);
    // Each is of a type of its own.
    macro_rules! settled {
        ($call:expr) => {
            match ask.deadline {
                Some(deadline) => settled($call.deadline(deadline), ask).await,
                None => settled($call, ask).await,
            }
        };
    }
    match ask.how {
        How::AtOnce => settled!(client.at_once(ask.number, &bytes, length)),
        How::Apart => settled!(client.apart(ask.number, &bytes, length)),
        _ => settled!(client.somehow(ask.how(), ask.number, &bytes, length)),
    }
}

async fn settled(call: impl Future<Output = Outcome>, ask: &Ask) -> Option<Outcome> {
    let mut call = pin!(call);
    let mut left = ask.gives_up;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        match &mut left {
            None => Poll::Pending,
            Some(0) => Poll::Ready(None),
            Some(left) => {
                *left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await
}

/// Asks on this thread.
fn on_thread(client: &WorksBlockingClient, ways: &[How], mut numbers: Numbers, mut goes_on: impl Until) {
    loop {
        let ask = Ask::any(&mut numbers, ways, false);
        let options = match ask.deadline {
            Some(deadline) => CallOptions::new().deadline(deadline),
            None => CallOptions::new(),
        };
        let (client, bytes, length) = (client.with(options), ask.bytes(), ask.lengths[1]);
        let outcome = match ask.how {
            How::AtOnce => client.at_once(ask.number, &bytes, length),
            How::Apart => client.apart(ask.number, &bytes, length),
            _ => client.somehow(ask.how(), ask.number, &bytes, length),
        };
        if !goes_on(&ask, Some(outcome)) {
            return;
        }
    }
}

/// Callers at work.
pub enum Caller {
    Task(tokio::task::JoinHandle<()>),
    Thread(JoinHandle<()>),
}

/// Starts callers on one side, which ask in these ways: tasks where it has a runtime, and threads.
pub fn start<U: Until>(
    (ground, session): (&Ground, &Session),
    count: usize,
    ways: &'static [How],
    numbers: &mut Numbers,
    mut until: impl FnMut() -> U,
) -> Vec<Caller> {
    let start = |at: usize| {
        let (numbers, until) = (numbers.split(), until());
        match ground.handle() {
            Some(handle) if at.is_multiple_of(2) => {
                Caller::Task(handle.spawn(task(session.client(), ways, numbers, until)))
            }
            Some(handle) if at % 4 == 1 => {
                let client = session.client();
                Caller::Task(handle.spawn_blocking(move || on_thread(&client, ways, numbers, until)))
            }
            _ => {
                let client = session.client();
                Caller::Thread(thread::spawn(move || on_thread(&client, ways, numbers, until)))
            }
        }
    };
    (0..count).map(start).collect()
}

/// Waits for callers; those that went with their runtime are none.
pub fn join(callers: Vec<Caller>) {
    for caller in callers {
        match caller {
            Caller::Thread(thread) => thread.join().expect("a caller"),
            Caller::Task(task) => {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                match runtime.block_on(task) {
                    Ok(()) => {}
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        }
    }
}

/// Whether a call ended with its session.
pub fn is_disconnected(outcome: &Outcome) -> bool {
    matches!(outcome, Err(CallError::Disconnected { .. }))
}
