//! What is asked in a stress, how it is answered, and which answers are plausible.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use transom::{CallError, Context};

use crate::numbers::Numbers;

/// Answers a number and bytes with the same number and other bytes.
#[transom::service]
pub trait Works {
    /// At once.
    fn at_once(&self, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>);
    /// In this way.
    async fn somehow(&self, cx: &Context, how: u8, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>);
    /// As a task of its own.
    #[transom(spawn)]
    async fn apart(&self, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>);
}

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    AtOnce,
    Apart,
    /// When it is asked for once more.
    Once,
    /// When another thread says so.
    Elsewhere,
    /// After a while, where there is a clock.
    Sleeps,
    /// After a call back.
    CallsBack,
    Panics,
    Never,
}

pub const ALL: [How; 8] = [
    How::AtOnce,
    How::Apart,
    How::Once,
    How::Elsewhere,
    How::Sleeps,
    How::CallsBack,
    How::Panics,
    How::Never,
];

/// A [`Works`].
#[derive(Clone)]
pub struct Work;

/// Handlers that are neither done nor dropped.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many handlers are neither done nor dropped.
pub fn alive() -> usize {
    ALIVE.load(Ordering::Relaxed)
}

/// The bytes that go with a number there, and back.
pub fn bytes(number: u64, length: usize) -> Vec<u8> {
    vec![number.to_le_bytes()[0]; length]
}

fn answer(number: u64, asked: &[u8], length: u32) -> (u64, Vec<u8>) {
    assert_eq!(asked, bytes(number, asked.len()), "the arguments of {number}");
    (number, bytes(!number, usize::try_from(length).expect("a length")))
}

/// Panics without a word on standard error.
fn panics() -> ! {
    std::panic::resume_unwind(Box::new("as the stress asks"))
}

/// A thread that says so.
static ELSEWHERE: LazyLock<Sender<oneshot::Sender<()>>> = LazyLock::new(|| {
    let (sender, waiting) = channel::<oneshot::Sender<()>>();
    thread::spawn(move || {
        for waits in waiting {
            // A handler that has been dropped does not hear it.
            let (Ok(()) | Err(())) = waits.send(());
        }
    });
    sender
});

async fn elsewhere() {
    let (sender, told) = oneshot::channel();
    ELSEWHERE.send(sender).expect("the thread is there as long as this process");
    told.await.expect("it says so to everybody");
}

impl Works for Work {
    fn at_once(&self, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>) {
        answer(number, bytes, length)
    }

    async fn somehow(&self, cx: &Context, how: u8, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>) {
        let _alive = Alive::new();
        match ALL[usize::from(how)] {
            How::AtOnce | How::Apart => {}
            How::Once => yields(1).await,
            How::Elsewhere => elsewhere().await,
            How::Sleeps if tokio::runtime::Handle::try_current().is_err() => elsewhere().await,
            How::Sleeps => tokio::time::sleep(Duration::from_micros(number % 3000)).await,
            How::CallsBack => {
                let back: WorksClient = cx.client();
                match back.at_once(number, bytes, length).await {
                    Ok((back, _)) => assert_eq!(back, number),
                    // The caller's time is this call's: it is over for this handler, too.
                    Err(CallError::DeadlineExceeded) => std::future::pending().await,
                    // What is asked for here ends in the same way.
                    Err(_) => panics(),
                }
            }
            How::Panics => panics(),
            How::Never => std::future::pending().await,
        }
        answer(number, bytes, length)
    }

    async fn apart(&self, number: u64, bytes: &[u8], length: u32) -> (u64, Vec<u8>) {
        let _alive = Alive::new();
        answer(number, bytes, length)
    }
}

/// Is not ready so many times.
pub async fn yields(times: u64) {
    let mut left = times;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return std::task::Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// What to ask.
#[derive(Clone, Debug)]
pub struct Ask {
    pub how: How,
    pub number: u64,
    /// How many bytes go there, and how many come back.
    pub lengths: [u32; 2],
    pub deadline: Option<Duration>,
    /// After how many turns the caller gives up.
    pub gives_up: Option<u64>,
}

impl Ask {
    /// Anything in one of these ways; `may_give_up` if its caller is a task.
    pub fn any(numbers: &mut Numbers, ways: &[How], may_give_up: bool) -> Self {
        let how = *numbers.pick(ways);
        let mut length = || {
            let most =
                [64, 64, 64, 64, 4000, 4000, 20_000, 300_000][usize::try_from(numbers.below(8)).unwrap()];
            u32::try_from(numbers.below(most)).unwrap()
        };
        let lengths = [length(), length()];
        let in_time = how != How::Never && numbers.below(4) != 0;
        let deadline = (!in_time).then(|| Duration::from_micros(numbers.below(2000)));
        let gives_up = (may_give_up && numbers.below(6) == 0).then(|| numbers.below(40));
        Self { how, number: numbers.next(), lengths, deadline, gives_up }
    }

    pub fn bytes(&self) -> Vec<u8> {
        bytes(self.number, usize::try_from(self.lengths[0]).unwrap())
    }

    /// The number of the way.
    pub fn how(&self) -> u8 {
        u8::try_from(ALL.iter().position(|how| *how == self.how).unwrap()).unwrap()
    }
}

/// How a call ended.
pub type Outcome = Result<(u64, Vec<u8>), CallError>;

/// Fails if a call cannot have ended so.
pub fn check(ask: &Ask, outcome: &Outcome) {
    let plausible = match outcome {
        Ok((number, answer)) => {
            let length = usize::try_from(ask.lengths[1]).unwrap();
            *number == ask.number
                && *answer == bytes(!ask.number, length)
                && !matches!(ask.how, How::Panics | How::Never)
        }
        Err(CallError::DeadlineExceeded) => ask.deadline.is_some(),
        Err(CallError::HandlerPanicked) => ask.how == How::Panics,
        Err(_) => false,
    };
    assert!(
        plausible,
        "{ask:?} ended as {:?}",
        outcome.as_ref().map(|(number, answer)| (number, answer.len()))
    );
}
