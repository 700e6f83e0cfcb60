//! Callers that wait until a call may be started: too many are in flight, or there is no room in the link.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

use super::CallRequest;
use super::machine::register;

/// The callers that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: VecDeque<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    deadline: Option<Instant>,
    /// How many descriptors are to go with its call.
    descriptors: u32,
    /// Taken when it is woken; a caller that must wait on registers again and keeps its place.
    waker: Option<Waker>,
    expired: bool,
}

impl Turns {
    /// Registers a caller with its call, or its new waker. Says whether its time is over instead.
    pub(super) fn wait(
        &mut self,
        call: &CallRequest<'_>,
        ticket: &mut Option<u64>,
        waker: &Waker,
        spent: &mut Vec<Waker>,
    ) -> Wait {
        let known =
            ticket.and_then(|ticket| self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket));
        match known {
            Some(waiting) if waiting.expired => Wait::Expired,
            Some(waiting) => {
                spent.extend(register(&mut waiting.waker, Some(waker)));
                Wait::Known
            }
            None => {
                let new = self.next;
                self.next += 1;
                *ticket = Some(new);
                self.waiting.push_back(Waiting {
                    ticket: new,
                    deadline: call.deadline,
                    descriptors: call.descriptor_count(),
                    waker: Some(waker.clone()),
                    expired: false,
                });
                Wait::Registered(new)
            }
        }
    }

    /// Whether nobody waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A caller waits no more; the deadline that was set for it.
    pub(super) fn leave(&mut self, ticket: u64, spent: &mut Vec<Waker>) -> Option<Instant> {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket)?;
        let Waiting { deadline, waker, .. } = self.waiting.remove(at)?;
        spent.extend(waker);
        deadline
    }

    /// A caller's time is over.
    pub(super) fn expire(&mut self, ticket: u64, wakers: &mut Vec<Waker>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.expired = true;
            wakers.extend(waiting.waker.take());
        }
    }

    /// Wakes the first callers, so many of them, with so many descriptors together. Those are counted that were woken before
    /// and have not come yet. One that lacks nothing but room for descriptors holds up only others that have some.
    pub(super) fn wake(&mut self, mut calls: u32, mut descriptors: u32, wakers: &mut Vec<Waker>) {
        for waiting in &mut self.waiting {
            if calls == 0 {
                return;
            }
            if waiting.descriptors > descriptors {
                descriptors = 0;
                continue;
            }
            calls -= 1;
            descriptors -= waiting.descriptors;
            wakers.extend(waiting.waker.take());
        }
    }

    /// Wakes all callers.
    pub(super) fn wake_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.extend(self.waiting.iter_mut().filter_map(|waiting| waiting.waker.take()));
    }
}

/// What became of a caller's wish to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It waits from now on, under this ticket.
    Registered(u64),
    /// It waited before and waits on.
    Known,
    /// Its time is over.
    Expired,
}
