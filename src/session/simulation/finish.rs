//! Letting everything that has begun come to its end.

use super::parties::Party;
use super::random::Random;
use super::world::{Side, World};
use super::{broken, check};

/// Rounds in which something moves, and turns in which somebody who is woken does something without any frame that comes
/// in: more than any run needs.
const MANY: u32 = 20_000;

impl World {
    /// Lets everything come to its end, and checks that nothing is left.
    pub(super) fn finish(&mut self, random: &mut Random) {
        // Handlers take their time, until all else is done.
        self.rest(random, false);
        check::news(self);
        for side in &mut self.sides {
            side.desk.rests = true;
            side.parties.change(|party| match party {
                Party::Sending(sending) => {
                    sending.hurry();
                    true
                }
                _ => false,
            });
        }
        self.rest(random, true);
        if !self.has_ended() {
            check::at_rest(self);
            check::counts(self);
        }
        for me in 0..2 {
            for id in std::mem::take(&mut self.sides[me].desk.held) {
                self.release_connection(me, id, random);
            }
        }
        self.rest(random, true);
        if !self.has_ended() {
            check::alone(self);
            self.truth.reached.goodbyes += 1;
            let first = random.index(2);
            self.goodbye(first, random);
            if random.one_in(4) {
                self.goodbye(1 - first, random);
            }
            self.rest(random, true);
        }
        check::over(self);
    }

    fn has_ended(&self) -> bool {
        self.truth.over.iter().any(Option::is_some)
    }

    /// Goes on until nothing moves any more. Handlers answer, and connections are decided about, if the application `acts`.
    fn rest(&mut self, random: &mut Random, acts: bool) {
        for _ in 0..MANY {
            let mut moved = false;
            for me in 0..2 {
                moved |= self.work_off(me, random, acts);
                while self.deliver(me) {
                    moved = true;
                    self.settle(me);
                    if random.one_in(3) {
                        self.work_off(me, random, acts);
                    }
                }
            }
            let under_way = |side: &Side| !side.peer.incoming.lock().unwrap().frames.is_empty();
            if !moved && !self.sides.iter().any(under_way) {
                return;
            }
        }
        broken("it never comes to rest".to_owned());
    }

    /// Runs those of one side who have something to do, until nobody has.
    fn work_off(&mut self, me: usize, random: &mut Random, acts: bool) -> bool {
        self.settle(me);
        let mut moved = false;
        for _ in 0..MANY {
            let desk = &self.sides[me].desk;
            let (handling, asked) = (acts && !desk.handling.is_empty(), acts && !desk.asked.is_empty());
            if handling && random.one_in(4) {
                self.with(me, random, |scene| scene.respond());
            } else if asked && random.one_in(4) {
                self.with(me, random, |scene| scene.decide());
            } else if !self.run(me, random, false) {
                if !handling && !asked {
                    return moved;
                }
                continue;
            }
            moved = true;
            self.settle(me);
            check::after_step(self, me);
        }
        broken(format!("somebody at {me} is woken again and again for nothing"));
    }
}
