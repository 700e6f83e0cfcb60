//! How channels come about: a message declares them.

use super::{
    Cells, Channel, Channels, Declaration, Declared, Declarer, Failure, Flow, Inlet, Io, Limits, Outlet,
    Rule, Wish,
};
use crate::link::Transmit;

impl Channels {
    /// What declares the channels that are wished for, if a message with it is sent next.
    ///
    /// # Errors
    /// More would be live than agreed.
    #[inline]
    pub(in crate::session) fn plan(
        &self,
        wishes: &[Wish],
        limits: &Limits,
        cells: &Cells,
        out: &dyn Transmit,
    ) -> Result<Vec<Declaration>, Failure> {
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let free = limits.channels.saturating_sub(self.live.ours) as usize;
        if wishes.len() > free {
            return Err(Failure::Channels { limit: limits.channels });
        }
        let declare = |(at, wish): (usize, &Wish)| Declaration {
            id: self.next + 2 * at as u64,
            flow: wish.flow,
            cell: cells.peek(at, out),
            window: wish.window.filter(|_| wish.flow == Flow::In).unwrap_or(limits.window),
        };
        Ok(wishes.iter().enumerate().map(declare).collect())
    }

    /// A message with these declarations has been sent; the ID of the first channel.
    #[inline]
    pub(in crate::session) fn open(
        &mut self,
        declared: &[Declaration],
        io: &mut Io,
        out: &dyn Transmit,
    ) -> u64 {
        let first = self.next;
        for declaration in declared {
            if declaration.cell.is_some() {
                io.cells.take();
            }
            self.next += 2;
            self.live.ours += 1;
            self.insert(declaration, true, declaration.flow, io, out);
        }
        first
    }

    /// The peer has sent a message with these declarations.
    #[inline]
    pub(in crate::session) fn admit(
        &mut self,
        declared: &[Declaration],
        limits: &Limits,
        io: &mut Io,
        out: &dyn Transmit,
    ) -> Result<Vec<Declared>, Rule> {
        if declared.is_empty() {
            return Ok(Vec::new());
        }
        let (peer, mut highest) = (self.role.other(), self.highest);
        for &Declaration { id, flow, cell, window } in declared {
            if !peer.owns(id) || id <= highest {
                return Err(Rule::ChannelOrder);
            }
            let foreign = cell.is_some_and(|cell| !io.cells.is_one_of_peer(cell.index, out));
            // What a sender may send is for its receiver to say.
            if foreign || flow == Flow::Out && window != limits.window {
                return Err(Rule::ChannelForm);
            }
            highest = id;
        }
        if declared.len() > limits.channels.saturating_sub(self.live.theirs) as usize {
            return Err(Rule::ChannelLimit);
        }
        self.highest = highest;
        let open = |declaration: &Declaration| {
            let (id, flow, window) = (declaration.id, declaration.flow.other(), declaration.window);
            self.live.theirs += 1;
            self.insert(declaration, false, flow, io, out);
            Declared { id, flow, window }
        };
        Ok(declared.iter().map(open).collect())
    }

    fn insert(&mut self, declaration: &Declaration, ours: bool, flow: Flow, io: &mut Io, out: &dyn Transmit) {
        let Declaration { id, cell, window, .. } = *declaration;
        let declarer = Declarer { ours, cell };
        let channel = match flow {
            Flow::Out => Channel::Out(Outlet::new(declarer, window)),
            Flow::In => Channel::In(Inlet::new(declarer, window, out)),
        };
        io.in_flight.channels += 1;
        self.table.insert(id, channel);
    }

    /// A channel's last frame has passed.
    pub(super) fn over(&mut self, declarer: Declarer, io: &mut Io) {
        io.in_flight.channels -= 1;
        if !declarer.ours {
            self.live.theirs -= 1;
            return;
        }
        self.live.ours -= 1;
        if let Some(cell) = declarer.cell {
            io.cells.give_back(cell);
        }
    }

    /// Nobody takes these ends of channels that the peer has declared, and the connection is over.
    pub(in crate::session) fn forget(&mut self, declared: &[Declared], io: &mut Io) {
        for channel in declared {
            match self.table.get_mut(&channel.id) {
                Some(Channel::In(inlet)) => drop(inlet.drop_end(io)),
                Some(Channel::Out(outlet)) => outlet.drop_end(io),
                None => {}
            }
            self.reap(channel.id);
        }
    }

    /// Nobody takes these ends of channels that the peer has declared.
    pub(in crate::session) fn refuse(&mut self, declared: &[Declared], io: &mut Io, out: &mut dyn Transmit) {
        for channel in declared {
            self.reset(channel.id, io, out);
        }
    }
}
