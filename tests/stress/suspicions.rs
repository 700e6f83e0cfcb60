//! What was suspected of losing a wake-up, and how it shows.

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use transom::{CallError, CallOptions, Connector, Limits, Options, Server};

use crate::common::{Echo, EchoBlockingClient, EchoClient, EchoServer, Place};
use crate::numbers::Numbers;
use crate::sides::{Driver, Ground, TRANSPORTS, address, open};
use crate::watch::rounds;

#[test]
fn a_thread_calls_over_a_session_whose_runtime_is_not_run() {
    rounds(1, |_| {
        for transport in TRANSPORTS {
            let place = Place::new();
            let listener = Server::new(&address(transport, &place), EchoServer::new(Echo));
            let listener = listener.bind_blocking().unwrap();
            let address = listener.address().clone();
            let serving = thread::spawn(move || listener.accept());
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let echo: EchoBlockingClient =
                runtime.block_on(Connector::to(address).session()).unwrap().client();
            eprintln!("{transport}");
            for turn in 0..100_u8 {
                assert_eq!(echo.echo(&[turn]).unwrap(), [turn], "{transport}");
            }
            drop((echo, serving.join().unwrap()));
        }
    });
}

#[test]
fn a_deadline_is_kept_that_is_set_while_the_task_goes_to_sleep() {
    rounds(1, |round| {
        let mut numbers = Numbers(round);
        for transport in TRANSPORTS {
            let grounds = [Ground::new(Driver::MultiThread), Ground::new(Driver::CurrentThread)];
            let services = [EchoServer::new(Echo), EchoServer::new(Echo)];
            let mut limits = Limits::default();
            limits.requests = 1;
            let options = Options::new().limits(limits);
            let [server, client] = open(transport, [&grounds[0], &grounds[1]], services, &options);
            let echo: EchoClient = client.client();
            let mut first = pin!(echo.never().into_future());
            assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let (back, echo): (EchoClient, EchoClient) = (server.client(), client.client());
            for turn in 0..2000 {
                let flags = [(); 2].map(|()| Arc::new(Flag(thread::current(), AtomicBool::new(false))));
                let wakers = flags.clone().map(Waker::from);
                // Wakes the task of the client's side, which goes to sleep again.
                let mut call = pin!(back.echo(b"x").into_future());
                let answered = call.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_ready();
                let at = Instant::now() + Duration::from_nanos(numbers.below(150_000));
                while Instant::now() < at {
                    std::hint::spin_loop();
                }
                let mut hasty = pin!(echo.never().deadline(Duration::from_micros(100)).into_future());
                let begun = Instant::now();
                let late = hasty.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_ready();
                let mut pending = [!answered, !late];
                while pending != [false, false] {
                    if pending[0]
                        && flags[0].1.swap(false, Ordering::Acquire)
                        && call.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_ready()
                    {
                        pending[0] = false;
                    }
                    if pending[1]
                        && flags[1].1.swap(false, Ordering::Acquire)
                        && hasty.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_ready()
                    {
                        pending[1] = false;
                    }
                    if pending != [false, false] {
                        thread::park_timeout(Duration::from_secs(5));
                    }
                    assert!(
                        begun.elapsed() < Duration::from_secs(5),
                        "{transport}: turn {turn}: {pending:?}"
                    );
                }
            }
        }
    });
}

struct Flag(thread::Thread, AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

/// Whose handler stays pending once the runtime that serves it is ending.
#[transom::service]
trait Stalls {
    async fn stall(&self);
}

struct Stall(Mutex<Option<(Sender<()>, Receiver<()>)>>);

impl Stalls for Stall {
    async fn stall(&self) {
        if let Some((begun, ending)) = self.0.lock().unwrap().take() {
            begun.send(()).unwrap();
            // Dropped by the runtime's other thread, which is ending by then.
            assert_eq!(ending.recv(), Err(RecvError));
        }
        std::future::pending().await
    }
}

#[test]
fn a_handler_may_stay_pending_while_its_runtime_ends() {
    rounds(1, |_| {
        for transport in TRANSPORTS {
            let ([begun, ending], [told, dropped]) = {
                let (one, two) = (channel(), channel());
                ([one.0, two.0], [one.1, two.1])
            };
            let mut grounds = [Ground::new(Driver::MultiThread), Ground::new(Driver::Blocking)];
            let stall = StallsServer::new(Stall(Mutex::new(Some((begun, dropped)))));
            let handle = grounds[0].handle().unwrap();
            handle.spawn(async move {
                let _dropped_when_the_runtime_ends = ending;
                std::future::pending::<()>().await
            });
            let none = StallsServer::new(Stall(Mutex::new(None)));
            let [_server, client] =
                open(transport, [&grounds[0], &grounds[1]], [stall, none], &Options::new());
            let calling = thread::spawn(move || client.client::<StallsBlockingClient>().stall());
            told.recv().unwrap();
            grounds[0].end();
            let ended = calling.join().unwrap();
            let dropped = matches!(ended, Err(CallError::Cancelled | CallError::Disconnected { .. }));
            assert!(dropped, "{transport}: {ended:?}");
        }
    });
}

/// A waker that is the last to hold something.
#[expect(dead_code, reason = "only its drop counts")]
struct Holds(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_drop_a_call_when_it_is_dropped() {
    rounds(1, |_| {
        for transport in TRANSPORTS {
            let grounds = [Ground::new(Driver::CurrentThread), Ground::new(Driver::CurrentThread)];
            let services = [EchoServer::new(Echo), EchoServer::new(Echo)];
            let [_server, client] = open(transport, [&grounds[0], &grounds[1]], services, &Options::new());
            let echo: EchoClient = client.client();
            let holds = || {
                let echo = echo.clone();
                let mut call: Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(async move { drop(echo.never().await) });
                assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                Waker::from(Arc::new(Holds(Mutex::new(Some(call)))))
            };
            let mut call = pin!(echo.never().into_future());
            // Each takes the place of the one before.
            assert!(call.as_mut().poll(&mut Context::from_waker(&holds())).is_pending());
            assert!(call.as_mut().poll(&mut Context::from_waker(&holds())).is_pending());
        }
    });
}

/// Whose handler panics when it is dropped.
#[transom::service]
trait Fusses {
    async fn fuss(&self);
    fn fine(&self) -> bool;
}

struct Fuss;

/// Panics when dropped, without a word on standard error.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        if !thread::panicking() {
            std::panic::resume_unwind(Box::new("as the test asks"));
        }
    }
}

impl Fusses for Fuss {
    async fn fuss(&self) {
        let _panics = Panics;
        std::future::pending().await
    }

    fn fine(&self) -> bool {
        true
    }
}

#[test]
fn a_handler_that_panics_when_dropped_harms_nobody_else() {
    rounds(1, |_| {
        for driver in [Driver::CurrentThread, Driver::Blocking] {
            for transport in TRANSPORTS {
                let grounds = [Ground::new(driver), Ground::new(Driver::Blocking)];
                let services = [FussesServer::new(Fuss), FussesServer::new(Fuss)];
                let [_server, client] =
                    open(transport, [&grounds[0], &grounds[1]], services, &Options::new());
                let fusses: FussesBlockingClient = client.client();
                let hasty = CallOptions::new().deadline(Duration::from_millis(5));
                let ended = fusses.with(hasty).fuss();
                let dropped = matches!(ended, Err(CallError::DeadlineExceeded | CallError::HandlerPanicked));
                assert!(dropped, "{driver:?} {transport}: {ended:?}");
                assert_eq!(fusses.fine(), Ok(true), "{driver:?} {transport}");
            }
        }
    });
}
