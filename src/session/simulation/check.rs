//! What must hold after every step, and at the end.

use super::ensure;
use super::parties::Party;
use super::world::World;
use crate::session::CloseReason;
use crate::session::timers::Timer;

/// What must hold at one side after each step.
pub(super) fn after_step(world: &mut World, me: usize) {
    let agreed = world.setup.agreed;
    let session = &mut world.sides[me].peer.session;
    let (mut calls, mut requests, mut channels) = (0, 0, 0);
    for connection in session.connections.all() {
        let (id, limits) = (connection.id, connection.limits);
        let (live, incoming) = (connection.outgoing.in_flight(), connection.incoming.in_flight());
        let (ours, theirs) = (connection.channels.ours(), connection.channels.theirs());
        ensure!(live <= limits.requests as usize, "more calls than agreed on {id}");
        ensure!(incoming <= limits.requests as usize, "more requests than agreed on {id}");
        ensure!(ours.max(theirs) <= limits.channels as usize, "more channels than agreed on {id}");
        calls += live;
        requests += incoming;
        channels += ours + theirs;
    }
    let counted = (session.io.in_flight.calls, session.io.in_flight.requests, session.io.in_flight.channels);
    ensure!(counted == (calls, requests, channels), "{counted:?} are {calls}, {requests}, {channels}");
    for role in [session.role, session.role.other()] {
        let open = session.connections.opened_by(role);
        ensure!(open <= agreed.connections as usize, "more connections than agreed: {open}");
    }
    let (kept, most) = (session.kept(), session.most_kept());
    ensure!(kept <= most, "{kept} bytes are kept, which is more than {most}");
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
        _ => false,
    };
    ensure!(right, "there is no reason for {reason:?} at {me}");
}

/// Everything that has begun has come to its end, and the session goes on: nothing is left of it.
pub(super) fn at_rest(world: &mut World) {
    for me in 0..2 {
        let side = &mut world.sides[me];
        for party in side.parties.iter() {
            let rests = matches!(party, Party::Server(_) | Party::Session | Party::Watch(_));
            ensure!(rests, "{me} waits for ever: {party:?}");
        }
        let session = &mut side.peer.session;
        ensure!(session.io.in_flight.is_none(), "{:?} at {me}", session.io.in_flight);
        ensure!(!session.wants_space(), "something waits for room at {me}");
        ensure!(session.kept() == 0, "{} bytes are kept at {me}", session.kept());
        for connection in session.connections.all() {
            let empty = connection.outgoing.is_empty() && connection.channels.is_empty();
            ensure!(empty, "something is left on connection {} at {me}", connection.id);
        }
        let lost = session.io.cells.lost();
        ensure!(lost == 0, "{lost} cells are lost at {me}");
        let lasting = [Timer::Keepalive, Timer::Idle, Timer::Goodbye];
        let left = session.io.timers.all().find(|timer| !lasting.contains(timer));
        ensure!(left.is_none(), "{left:?} is left at {me}");
    }
}

/// Nobody holds a virtual connection any more.
pub(super) fn alone(world: &World) {
    for (me, side) in world.sides.iter().enumerate() {
        ensure!(side.peer.session.connections.is_root_alone(), "a connection is left at {me}");
    }
}

/// Both sessions are over.
pub(super) fn over(world: &mut World) {
    at_rest(world);
    alone(world);
    for (me, side) in world.sides.iter_mut().enumerate() {
        for party in side.parties.iter() {
            super::broken(format!("{me} waits for ever: {party:?}"));
        }
        ensure!(side.desk.handling.is_empty(), "a handler is not dropped at {me}: {:?}", side.desk.handling);
        ensure!(side.peer.session.next_timeout().is_none(), "something is due after the end at {me}");
    }
    agreement(world);
    world.truth.finish();
}

/// What both sides say of the end fits together.
fn agreement(world: &World) {
    let truth = &world.truth;
    let [Some(one), Some(other)] = &truth.over else { super::broken("a session is not over".to_owned()) };
    let abrupt = world.broken.is_some() || truth.shut != [false; 2];
    let fits = |one: &CloseReason, other: &CloseReason| match one {
        CloseReason::Local if !abrupt => matches!(other, CloseReason::Local | CloseReason::Goodbye),
        CloseReason::Goodbye if !abrupt => matches!(other, CloseReason::Local | CloseReason::Idle),
        CloseReason::Silent | CloseReason::Idle | CloseReason::PeerDied => {
            *other != *one || abrupt || *one == CloseReason::Idle
        }
        _ => true,
    };
    ensure!(fits(one, other) && fits(other, one), "{one:?} at one side, {other:?} at the other");
}
