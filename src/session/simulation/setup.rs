//! What a seed's run is like: link, limits, how long, and what happens how often.

use std::time::Duration;

use super::random::Random;
use crate::link::Header;
use crate::session::simulated::Shape;
use crate::session::{Keepalive, Limits};

/// What may happen in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A frame comes in.
    Deliver,
    /// Somebody who has been woken, or has something to do, does it.
    Run,
    /// A side looks after its session.
    Look,
    /// A call is to be made.
    Call,
    /// A handler answers.
    Respond,
    /// A caller gives up.
    Cancel,
    /// An application lets go of its end of a channel.
    LetGo,
    /// A connection is asked for.
    Open,
    /// A connection that was asked for is taken or not.
    Decide,
    /// A connection is closed.
    Close,
    /// Nobody holds a connection any more.
    Leave,
    /// What was stored in a credit cell shows to the peer.
    Show,
    /// Time passes.
    Pass,
    /// A side does what is due.
    Expire,
    /// A side says goodbye.
    Goodbye,
    /// A side ends the session at once.
    Shut,
    /// The link breaks.
    Break,
}

/// How often each happens, if a seed has it happen at all.
const WEIGHTS: [(Action, u64); 17] = [
    (Action::Deliver, 600),
    (Action::Run, 800),
    (Action::Look, 100),
    (Action::Call, 160),
    (Action::Respond, 160),
    (Action::Cancel, 40),
    (Action::LetGo, 40),
    (Action::Open, 40),
    (Action::Decide, 60),
    (Action::Close, 15),
    (Action::Leave, 15),
    (Action::Show, 120),
    (Action::Pass, 60),
    (Action::Expire, 60),
    (Action::Goodbye, 1),
    (Action::Shut, 1),
    (Action::Break, 1),
];

/// What a seed's run is like.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) limits: [Limits; 2],
    pub(super) agreed: Limits,
    pub(super) shape: Shape,
    pub(super) keepalive: [Option<Keepalive>; 2],
    pub(super) idle: [Option<Duration>; 2],
    /// Whether a side is asked if it lets the other in, and whether it does.
    pub(super) lets_in: [Option<bool>; 2],
    /// How many steps it has before all that has begun is let come to its end.
    pub(super) steps: u32,
    weights: [u64; WEIGHTS.len()],
}

impl Setup {
    pub(super) fn new(random: &mut Random) -> Self {
        let limits = [limits(random), limits(random)];
        let most = random.either(3, 600, 120);
        let most = 40 + random.up_to(most);
        let capacity = (Header::LEN + most) * (1 + random.up_to(4));
        let cells = if random.one_in(2) { 0 } else { random.small(8) };
        let mut seldom = |most: u64| random.one_in(6).then(|| Duration::from_micros(1 + random.below(most)));
        let keepalive = [seldom(300), seldom(300)].map(|time| {
            time.map(|silence| Keepalive { silence, timeout: silence / 2 + Duration::from_micros(1) })
        });
        let idle = [seldom(900), seldom(900)];
        let weights = WEIGHTS.map(|(action, weight)| match action {
            Action::Deliver | Action::Run => weight * (1 + random.below(3)),
            Action::Goodbye | Action::Shut | Action::Break => weight * [0, 0, 0, 1, 3][random.index(5)],
            _ => weight * [0, 1, 1, 1, 3][random.index(5)],
        });
        let longest = random.either(8, 4000, 600);
        let steps = 50 + random.small(longest);
        let lets_in = [(), ()].map(|()| random.one_in(4).then(|| !random.one_in(8)));
        Self {
            limits,
            agreed: limits[0].stricter(limits[1]),
            shape: Shape { capacity, most, cells },
            keepalive,
            idle,
            lets_in,
            steps,
            weights,
        }
    }

    /// What happens next.
    pub(super) fn action(&self, random: &mut Random) -> Action {
        let mut left = random.below(self.weights.iter().sum());
        for ((action, _), weight) in WEIGHTS.into_iter().zip(self.weights) {
            if left < weight {
                return action;
            }
            left -= weight;
        }
        Action::Run
    }
}

fn limits(random: &mut Random) -> Limits {
    let window = random.either(2, 60, 900);
    Limits {
        requests: 1 + random.small(5),
        payload: Limits::LEAST_PAYLOAD + random.below(2000),
        metadata_entries: random.either(10, 0, 4),
        metadata_size: 20 + random.small(2000),
        window: 1 + random.small(window),
        channels: random.small(12),
        connections: random.small(3),
    }
}
