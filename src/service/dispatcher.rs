//! From a request to the handler of the service that has its method.

use std::sync::Arc;

use super::private::{Incoming, Opened, Place, Started};
use super::trace::{self, CallSpan, InSpan};
use super::{Accepting, Acceptor, Descriptor};
use crate::driver::{Dispatch, Handler, Opening, Request, Slots};
use crate::session::{Lookup, Method};

/// What one side of a session serves: a server that `#[transom::service]` generated, several of them as a
/// tuple, or `()` for nothing at all.
///
/// Where two services of a tuple have the same name, the first answers.
pub trait Service: Send + Sync + 'static {
    /// The services that this is made of.
    fn descriptors(&self) -> Vec<&'static Descriptor>;

    /// The method with this ID.
    #[doc(hidden)]
    fn method(&self, id: u64) -> Option<&'static Method>;

    /// Whether the method's handlers run as tasks of their own from the start.
    #[doc(hidden)]
    fn spawns(&self, id: u64) -> bool;

    /// Starts the handler of a call whose method is this service's.
    #[doc(hidden)]
    fn start(&self, call: Incoming, place: Place<'_>) -> Started;

    /// Whether calls of methods that are none of its own are passed on to somebody else.
    #[doc(hidden)]
    fn forwards(&self) -> bool {
        false
    }

    /// Whether there is anything that the peer could ask for.
    #[doc(hidden)]
    fn serves(&self) -> bool {
        self.forwards() || !self.descriptors().is_empty()
    }

    /// Decides about a connection that the peer wants to open.
    #[doc(hidden)]
    fn opened(&self, opened: Opened) {
        opened.0.has_no_acceptor();
    }

    /// This service on the root connection, with `acceptor` to decide about the virtual ones that the peer opens. Without
    /// one they are all rejected.
    fn accepting<A: Acceptor>(self, acceptor: A) -> Accepting<Self, A>
    where
        Self: Sized,
    {
        Accepting::new(self, acceptor)
    }
}

/// A service as a driver calls it.
pub(crate) fn dispatcher(service: impl Service) -> Arc<dyn Dispatch> {
    Arc::new(Dispatcher(service))
}

struct Dispatcher<S>(S);

impl<S: Service> Dispatch for Dispatcher<S> {
    fn lookup(&self, id: u64) -> Lookup {
        match self.0.method(id) {
            Some(method) => Lookup::Served(method),
            None if self.0.forwards() => Lookup::Forwarded,
            None => Lookup::Unknown,
        }
    }

    #[inline]
    fn dispatch(&self, request: Request, slots: &mut Slots) -> Option<Handler> {
        if trace::is_wanted() {
            return self.dispatch_in_span(request, slots);
        }
        self.0.start(Incoming::new(request, None), Place(slots)).0
    }

    fn spawns(&self, id: u64) -> bool {
        self.0.spawns(id)
    }

    fn open(&self, opening: Opening) {
        self.0.opened(Opened(opening));
    }
}

impl<S: Service> Dispatcher<S> {
    #[cold]
    fn dispatch_in_span(&self, request: Request, slots: &mut Slots) -> Option<Handler> {
        let span = CallSpan::handling(&request, self.0.method(request.method));
        let around = span.as_ref().map(|span| span.span());
        let handler = self.0.start(Incoming::new(request, span), Place(slots)).0?;
        Some(match around {
            Some(span) => slots.place(InSpan::new(span, handler)),
            None => handler,
        })
    }
}

macro_rules! services {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Service),*> Service for ($($name,)*) {
            fn descriptors(&self) -> Vec<&'static Descriptor> {
                let none: [Vec<&'static Descriptor>; 0] = [];
                none.into_iter()$(.chain([self.$index.descriptors()]))*.flatten().collect()
            }

            fn method(&self, _id: u64) -> Option<&'static Method> {
                None$(.or_else(|| self.$index.method(_id)))*
            }

            fn spawns(&self, _id: u64) -> bool {
                $(if self.$index.method(_id).is_some() {
                    return self.$index.spawns(_id);
                })*
                false
            }

            fn forwards(&self) -> bool {
                false$(|| self.$index.forwards())*
            }

            fn start(&self, call: Incoming, _place: Place<'_>) -> Started {
                $(if self.$index.method(call.method()).is_some() {
                    return self.$index.start(call, _place);
                })*
                $(if self.$index.forwards() {
                    return self.$index.start(call, _place);
                })*
                call.unknown()
            }
        }
    };
}

services!();
services!(A 0);
services!(A 0, B 1);
services!(A 0, B 1, C 2);
services!(A 0, B 1, C 2, D 3);
services!(A 0, B 1, C 2, D 3, E 4);
services!(A 0, B 1, C 2, D 3, E 4, F 5);
