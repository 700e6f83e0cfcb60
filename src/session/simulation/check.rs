//! What must hold after every step, and at the end.

use super::ensure;
use super::parties::Party;
use super::truth::Verdict;
use super::world::World;
use crate::session::connection::Stage;
use crate::session::io::Inbox;
use crate::session::{CallStats, CloseReason, Side, TrafficStats};

/// What must hold at one side after each step.
pub(super) fn after_step(world: &mut World, me: usize) {
    let flaw = world.sides[me].peer.session.flaw();
    ensure!(flaw.is_none(), "{me}: {}", flaw.unwrap_or_default());
    held(world, me);
}

/// A receiver holds at most a window, or one frame.
fn held(world: &mut World, me: usize) {
    let side = &mut world.sides[me];
    for party in side.parties.iter() {
        let Party::Receiving(receiving) = party else { continue };
        let channel = receiving.channel();
        let Some(connection) = side.peer.session.connections.get(channel.connection) else { continue };
        let (here, frames_here) = connection.channels.held(channel.id);
        let (taken, frames_taken) = receiving.held();
        let (held, window) = (here + taken, world.truth.stream(channel).window);
        let within = held <= u64::from(window) || frames_here + frames_taken <= 1;
        ensure!(within, "{channel:?} with a window of {window} holds {held}");
    }
}

/// A session has ended: for a reason that there is.
pub(super) fn ended(world: &World, me: usize, reason: &CloseReason) {
    let (truth, setup, other) = (&world.truth, &world.setup, 1 - me);
    let over = truth.over[other].is_some();
    let right = match reason {
        CloseReason::Local => truth.shut[me] || truth.said[me],
        CloseReason::Goodbye => {
            truth.said[other] || truth.shut[other] || truth.over[other] == Some(CloseReason::Idle)
        }
        CloseReason::PeerDied => over || world.broken == Some(CloseReason::PeerDied),
        CloseReason::Transport(_) => world.broken.as_ref() == Some(reason),
        CloseReason::Silent => {
            let silence = world.now.duration_since(world.sides[me].heard);
            setup.keepalive[me].is_some_and(|keepalive| silence >= keepalive.timeout)
        }
        CloseReason::Idle => setup.idle[me].is_some(),
        CloseReason::Refused { refusal, by: Side::Local } => truth.refused[me].as_ref() == Some(refusal),
        CloseReason::Refused { refusal, by: Side::Peer } => truth.refused[other].as_ref() == Some(refusal),
        _ => false,
    };
    ensure!(right, "there is no reason for {reason:?} at {me}");
}

/// All frames have come: whoever was to learn something from them has.
pub(super) fn news(world: &mut World) {
    let World { sides, truth, .. } = world;
    for (me, side) in sides.iter_mut().enumerate() {
        let session = &mut side.peer.session;
        for party in side.parties.iter() {
            match party {
                Party::Sending(sending) if sending.is_lingering() => {
                    let open = session.credit(sending.channel(), &side.peer.out).is_ok();
                    ensure!(open, "{me} was not told that {:?} is gone", sending.channel());
                }
                Party::Watch(watch) => {
                    let stage = session.connections.get(watch.id()).map(|connection| &connection.stage);
                    let same = match stage {
                        Some(Stage::Opening) => watch.is_asked(),
                        Some(Stage::Open) => !watch.is_asked(),
                        _ => false,
                    };
                    ensure!(same, "{me} was not told that connection {} is {stage:?}", watch.id());
                }
                _ => {}
            }
        }
        let Inbox { requests, opens, cancelled, closed, .. } = &session.io.inbox;
        let done = requests.is_empty() && opens.is_empty() && cancelled.is_empty() && closed.is_empty();
        ensure!(done, "{me} was not told of what is to be done");
        for handling in &side.desk.handling {
            let wanted = !truth.called(handling.token).given_up;
            ensure!(wanted, "{me} was not told that nobody waits for the answer to {handling:?}");
        }
    }
}

/// Everything that has begun has come to its end, and the session goes on: nothing is left of it.
pub(super) fn at_rest(world: &mut World) {
    for (id, opened) in &world.truth.connections {
        let limits = world.sides.each_mut().map(|side| {
            let connection = side.peer.session.connections.get(*id)?;
            connection.is_open().then_some(connection.limits)
        });
        if let [Some(one), Some(other)] = limits {
            let within = opened.settings.is_none_or(|wanted| {
                one.requests <= wanted.requests
                    && one.window <= wanted.window
                    && one.channels <= wanted.channels
            });
            ensure!(one == other && within, "the sides of {id} keep to {one:?} and {other:?}: {opened:?}");
        }
    }
    for me in 0..2 {
        let side = &mut world.sides[me];
        for party in side.parties.iter() {
            let rests = matches!(party, Party::Server(_) | Party::Session | Party::Watch(_));
            ensure!(rests, "{me} waits for ever: {party:?}");
        }
        let session = &mut side.peer.session;
        let left = session.left();
        ensure!(left.is_none(), "{me}: {}", left.unwrap_or_default());
        for connection in session.connections.all() {
            let empty = connection.outgoing.is_empty() && connection.channels.is_empty();
            ensure!(empty, "something is left on connection {} at {me}", connection.id);
        }
    }
}

/// Everything that was sent has come, and everything that has begun come to its end: both sides have counted the same.
pub(super) fn counts(world: &World) {
    let [one, other] = world.sides.each_ref().map(|side| side.peer.session.stats());
    for (here, there) in [(&one, &other), (&other, &one)] {
        let frames = |traffic: &TrafficStats| (traffic.frames, traffic.bytes);
        ensure!(frames(&here.sent) == frames(&there.received), "{here:?} is not what came: {there:?}");
        ensure!(
            here.sent.items >= there.received.items,
            "more items came than were sent: {here:?}, {there:?}"
        );
        ensure!(here.calls == there.served, "the sides have counted other calls: {here:?}, {there:?}");
        let CallStats { started, answered, failed, cancelled, in_flight, .. } = here.calls;
        ensure!(in_flight == 0 && here.channels == 0, "something is under way: {here:?}");
        ensure!(answered + failed <= started && cancelled <= started, "calls ended twice: {here:?}");
        let lost = !world.truth.connections.is_empty();
        ensure!(lost || answered + failed == started, "a call has not ended: {here:?}");
    }
}

/// Nobody holds a virtual connection any more.
pub(super) fn alone(world: &World) {
    for (id, opened) in &world.truth.connections {
        let taken = matches!(opened.verdict, Some(Verdict::Accepted(_)));
        let served = [0, 1].map(|me| taken || opened.opener == me);
        let over = world.truth.over.iter().any(Option::is_some);
        ensure!(over || opened.told == served, "{:?} were told that {id} is over", opened.told);
    }
    for (me, side) in world.sides.iter().enumerate() {
        ensure!(side.peer.session.connections.is_root_alone(), "a connection is left at {me}");
    }
}

/// Both sessions are over.
pub(super) fn over(world: &mut World) {
    at_rest(world);
    alone(world);
    for (me, side) in world.sides.iter_mut().enumerate() {
        let waits = side.parties.iter().next();
        ensure!(waits.is_none(), "{me} waits for ever: {waits:?}");
        ensure!(side.desk.handling.is_empty(), "a handler is not dropped at {me}: {:?}", side.desk.handling);
    }
    agreement(world);
    world.truth.finish();
}

/// What both sides say of the end fits together.
fn agreement(world: &World) {
    let truth = &world.truth;
    let [Some(one), Some(other)] = &truth.over else { super::broken("a session is not over".to_owned()) };
    let abrupt = truth.shut != [false; 2];
    let fits = |one: &CloseReason, other: &CloseReason| match (one, other) {
        // Nobody tells the other of it.
        (CloseReason::Silent, _) => true,
        (CloseReason::Local, CloseReason::Local | CloseReason::Goodbye) => true,
        (CloseReason::Idle, CloseReason::Idle | CloseReason::Goodbye | CloseReason::PeerDied) => true,
        // There may be no room for last words, and both may have some.
        (CloseReason::Local, CloseReason::PeerDied | CloseReason::Idle) => abrupt,
        // One side has closed it while the other was asked.
        (CloseReason::Local, CloseReason::Refused { by: Side::Local, .. }) => abrupt,
        (CloseReason::Refused { by: Side::Local, .. }, CloseReason::Refused { by: Side::Peer, .. }) => true,
        _ => world.broken.is_some(),
    };
    ensure!(fits(one, other) || fits(other, one), "{one:?} at one side, {other:?} at the other");
}
