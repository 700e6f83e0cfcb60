//! Calls as spans, and one trace of all that belongs together: D3.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, Once};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata as About, Subscriber};
use transom::proxy::Forward;
use transom::{CallError, Context, Entry, Limits, Metadata, Options, Value};

use crate::scene::{Blocking, Link, Scene};

/// A span or an event, as it was told.
#[derive(Clone, Debug, Default)]
struct Told {
    name: String,
    /// The span that it is in, as the place says that it was told at.
    within: Option<usize>,
    fields: BTreeMap<String, String>,
}

impl Told {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name().to_owned(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// Collects what is told on one thread.
#[derive(Clone, Default)]
struct Collector {
    collected: Arc<Mutex<Collected>>,
    /// Frames, too.
    frames: bool,
}

#[derive(Default)]
struct Collected {
    told: Vec<Told>,
    entered: Vec<usize>,
}

impl Collector {
    fn all(&self) -> Vec<Told> {
        self.lock().told.clone()
    }

    /// The only span of this name and method.
    fn span(&self, name: &str, method: &str) -> Told {
        let all = self.all();
        let mut found = all.iter().filter(|told| told.name == name && told.field("method") == method);
        let span = found.next().unwrap_or_else(|| panic!("no {name} of {method} in {all:#?}"));
        assert!(found.next().is_none(), "two of {name} of {method} in {all:#?}");
        span.clone()
    }
}

fn id(at: usize) -> Id {
    Id::from_u64(at as u64 + 1)
}

fn at(id: &Id) -> usize {
    id.into_u64() as usize - 1
}

thread_local! {
    /// Who collects what is told on this thread.
    static COLLECTOR: RefCell<Option<Collector>> = const { RefCell::new(None) };
}

/// The only subscriber of this process: it asks who collects on the thread at hand. With one for each thread it would matter
/// on which of them a place that tells something is come to first.
struct Threads;

/// From here on something may be collected.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Threads).expect("no other subscriber"));
}

/// What the collector of this thread makes of something.
fn ask<T: Default>(what: impl FnOnce(&Collector) -> T) -> T {
    COLLECTOR.with_borrow(|collector| collector.as_ref().map(what).unwrap_or_default())
}

impl Subscriber for Threads {
    fn register_callsite(&self, _about: &'static About<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, about: &About<'_>) -> bool {
        ask(|collector| collector.wants(about.target()))
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        ask(|collector| Some(collector.new_span(span))).expect("it is wanted here")
    }
    fn record(&self, span: &Id, values: &Record<'_>) {
        ask(|collector| values.record(&mut collector.lock().told[at(span)]));
    }
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        ask(|collector| collector.event(event));
    }
    fn enter(&self, span: &Id) {
        ask(|collector| collector.lock().entered.push(at(span)));
    }
    fn exit(&self, span: &Id) {
        ask(|collector| assert_eq!(collector.lock().entered.pop(), Some(at(span))));
    }
}

impl Collector {
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap()
    }
    fn wants(&self, target: &str) -> bool {
        match target {
            "transom::call" | "handler" => true,
            "transom::frame" => self.frames,
            _ => false,
        }
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut collected = self.lock();
        let within = if span.is_contextual() { collected.entered.last().copied() } else { None };
        let mut told = Told { name: span.metadata().name().to_owned(), within, ..Told::default() };
        span.record(&mut told);
        collected.told.push(told);
        id(collected.told.len() - 1)
    }
    fn event(&self, event: &Event<'_>) {
        let mut collected = self.lock();
        let name = event.metadata().target().to_owned();
        let mut told = Told { name, within: collected.entered.last().copied(), ..Told::default() };
        event.record(&mut told);
        collected.told.push(told);
    }
}

/// Runs a test on a thread of its own, all of what it does, and whatever is told there is collected.
async fn collected<F: Future<Output = ()>>(test: impl FnOnce(Collector) -> F + Send + 'static) {
    collected_by(Collector::default(), test).await;
}

/// The same by this collector.
async fn collected_by<F: Future<Output = ()>>(
    collector: Collector,
    test: impl FnOnce(Collector) -> F + Send + 'static,
) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        COLLECTOR.set(Some(collector.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test(collector));
        done.send(()).unwrap();
    });
    is_done.await.expect("no panic");
}

/// Does what it does in a trace.
#[transom::service]
pub trait Traced {
    /// What it was told that it is part of.
    async fn plain(&self, cx: &Context) -> Option<String>;
    /// What those are told whom it calls: its caller, and somebody else within the call.
    async fn on(&self, cx: &Context) -> Vec<Option<String>>;
    async fn fails(&self) -> Result<u64, String>;
    async fn panics(&self);
    async fn never(&self);
    fn long(&self, bytes: &[u8]) -> u64;
}

/// Another one, for telling calls apart.
#[transom::service]
pub trait Inner {
    async fn inner(&self, cx: &Context) -> Option<String>;
    async fn inner_elsewhere(&self, cx: &Context) -> Option<String>;
}

#[derive(Clone, Default)]
struct Tracing {
    elsewhere: Option<InnerClient>,
    running: Arc<Notify>,
}

fn parent(cx: &Context) -> Option<String> {
    match cx.metadata().get("traceparent") {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

impl Traced for Tracing {
    async fn plain(&self, cx: &Context) -> Option<String> {
        tracing::info!(target: "handler", "plainly");
        tokio::task::yield_now().await;
        tracing::info!(target: "handler", "still");
        parent(cx)
    }
    async fn on(&self, cx: &Context) -> Vec<Option<String>> {
        let back: InnerClient = cx.client();
        let mut told = vec![back.inner().await.unwrap()];
        if let Some(elsewhere) = &self.elsewhere {
            told.push(elsewhere.inner_elsewhere().within(cx).await.unwrap());
        }
        told
    }
    async fn fails(&self) -> Result<u64, String> {
        Err("as the test asks".to_owned())
    }
    async fn panics(&self) {
        panic!("as the test asks");
    }
    async fn never(&self) {
        self.running.notify_one();
        std::future::pending().await
    }
    fn long(&self, bytes: &[u8]) -> u64 {
        bytes.len() as u64
    }
}

impl Inner for Tracing {
    async fn inner(&self, cx: &Context) -> Option<String> {
        parent(cx)
    }
    async fn inner_elsewhere(&self, cx: &Context) -> Option<String> {
        parent(cx)
    }
}

fn serves(tracing: Tracing) -> impl transom::Service {
    (TracedServer::new(tracing.clone()), InnerServer::new(tracing))
}

fn plain() -> impl transom::Service {
    serves(Tracing::default())
}

/// What is told whom a span calls.
fn written(span: &Told) -> String {
    format!("00-{}-{}-01", span.field("trace_id"), span.field("span_id"))
}

#[track_caller]
fn is_child(child: &Told, parent: &Told) {
    assert_eq!(child.field("trace_id"), parent.field("trace_id"), "{child:?} of {parent:?}");
    assert_eq!(child.field("parent_id"), parent.field("span_id"), "{child:?} of {parent:?}");
    assert_ne!(child.field("span_id"), parent.field("span_id"));
}

pub async fn d3_a_call_and_its_handler_are_one_trace(link: Link) {
    collected(move |collector| async move {
        let scene = Scene::new(link, (), plain()).await;
        let client: TracedClient = scene.client.client();
        let mut metadata = Metadata::new();
        metadata.push(Entry::new("password", "open sesame").sensitive()).unwrap();
        let around = tracing::info_span!(target: "handler", "around");
        let told = {
            let call = client.plain().with_metadata(metadata);
            tracing::Instrument::instrument(call, around).await.unwrap()
        };
        let (call, handle) =
            (collector.span("transom.call", "plain"), collector.span("transom.handle", "plain"));
        for span in [&call, &handle] {
            let fields = ["service", "connection", "request", "outcome"].map(|name| span.field(name));
            assert_eq!(fields, ["traced", "0", "1", "ok"]);
            assert_eq!((span.field("trace_id").len(), span.field("span_id").len()), (32, 16));
        }
        assert_eq!(told, Some(written(&call)));
        is_child(&handle, &call);
        assert_eq!(call.field("parent_id"), "", "it is the first");
        let all = collector.all();
        let within = |at: Option<usize>| at.map(|at| all[at].name.as_str());
        assert_eq!((within(call.within), within(handle.within)), (Some("around"), None));
        let events: Vec<_> = all.iter().filter(|told| told.fields.contains_key("message")).collect();
        let places: Vec<_> = events.iter().map(|event| within(event.within)).collect();
        assert_eq!(places, [Some("transom.handle"); 2], "whatever a handler tells it tells in its span");
        assert!(!format!("{all:?}").contains("sesame"));
    })
    .await;
}

pub async fn d3_calls_within_a_call_are_part_of_its_trace(link: Link) {
    collected(move |collector| async move {
        let far = Scene::new(link, (), plain()).await;
        let tracing = Tracing { elsewhere: Some(far.client.client()), ..Tracing::default() };
        let near = Scene::new(link, plain(), serves(tracing)).await;
        let client: TracedClient = near.client.client();
        let told = client.on().await.unwrap();
        let (call, handle) = (collector.span("transom.call", "on"), collector.span("transom.handle", "on"));
        is_child(&handle, &call);
        for (told, method) in told.iter().zip(["inner", "inner-elsewhere"]) {
            let call = collector.span("transom.call", method);
            is_child(&call, &handle);
            assert_eq!(told.as_ref(), Some(&written(&call)));
            is_child(&collector.span("transom.handle", method), &call);
        }
        // What is called beside is another trace.
        client.plain().await.unwrap();
        assert_ne!(collector.span("transom.call", "plain").field("trace_id"), call.field("trace_id"));
    })
    .await;
}

pub async fn d3_a_trace_goes_through_a_proxy(link: Link) {
    collected(move |collector| async move {
        let far = Scene::new(Link::Shm, (), plain()).await;
        let near = Scene::new(link, (), Forward::to(far.client.root())).await;
        let client: TracedClient = near.client.client();
        client.plain().await.unwrap();
        let call = collector.span("transom.call", "plain");
        let all = collector.all();
        let handled: Vec<_> = all.iter().filter(|told| told.name == "transom.handle").collect();
        let [first, second] = handled[..] else { panic!("{all:#?}") };
        assert_eq!((first.field("service"), first.field("outcome")), ("traced", "ok"));
        is_child(first, &call);
        is_child(second, first);
    })
    .await;
}

/// What a call has come to on either side.
fn outcomes(collector: &Collector, method: &str) -> [String; 2] {
    ["transom.call", "transom.handle"].map(|name| collector.span(name, method).field("outcome").to_owned())
}

pub async fn d3_spans_tell_how_a_call_ended(link: Link) {
    collected(move |collector| async move {
        let tracing = Tracing::default();
        let running = Arc::clone(&tracing.running);
        let scene = Scene::new(link, (), serves(tracing)).await;
        let client: TracedClient = scene.client.client();
        assert!(matches!(client.fails().await, Err(CallError::User(_))));
        assert_eq!(outcomes(&collector, "fails"), ["error", "error"]);
        assert_eq!(client.panics().await, Err(CallError::HandlerPanicked));
        assert_eq!(outcomes(&collector, "panics"), ["panicked", "panicked"]);
        let call = client.never();
        tokio::select! {
            answer = call => panic!("{answer:?}"),
            () = running.notified() => {}
        }
        // The caller is gone; its peer learns of that.
        while outcomes(&collector, "never") != ["cancelled", "cancelled"] {
            tokio::task::yield_now().await;
        }
        let unheard = scene.client.client::<StrangeClient>().stranger().await;
        assert_eq!(unheard, Err(CallError::UnknownMethod));
        assert_eq!(collector.span("transom.call", "stranger").field("outcome"), "unknown method");
        let late = client.plain().deadline(Duration::ZERO).await;
        assert_eq!(late, Err(CallError::DeadlineExceeded));
        assert_eq!(collector.span("transom.call", "plain").field("outcome"), "deadline exceeded");
        scene.server.close();
        scene.client.closed().await;
        assert!(client.long(b"x").await.is_err());
        assert_eq!(collector.span("transom.call", "long").field("outcome"), "disconnected");
    })
    .await;
}

/// Nobody serves it.
#[transom::service]
pub trait Strange {
    async fn stranger(&self);
}

pub async fn d3_no_call_fails_because_it_is_traced(link: Link) {
    collected(move |collector| async move {
        let mut limits = Limits::default();
        limits.payload = 2000;
        let scene = Scene::with(link, Options::new().limits(limits), (), plain()).await;
        let client: TracedClient = scene.client.client();
        for length in (0..=1998).step_by(9) {
            assert_eq!(client.long(&vec![1; length]).await, Ok(length as u64));
        }
        assert_eq!(client.long(&[1; 1998]).await, Ok(1998), "the most that there may be");
        let all = collector.all();
        let last = all.iter().rfind(|told| told.name == "transom.handle").unwrap();
        assert_eq!(last.field("parent_id"), "", "there was no room to tell it");
        limits.metadata_entries = 0;
        let scene = Scene::with(link, Options::new().limits(limits), (), plain()).await;
        let client: TracedClient = scene.client.client();
        assert_eq!(client.plain().await, Ok(None));
    })
    .await;
}

/// A trace that began elsewhere.
const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn given() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("traceparent", GIVEN)).unwrap();
    metadata
}

pub async fn d3_a_trace_that_began_elsewhere_goes_on(link: Link) {
    collected(move |collector| async move {
        let scene = Scene::new(link, (), plain()).await;
        let client: TracedClient = scene.client.client();
        let told = client.plain().with_metadata(given()).await.unwrap();
        let call = collector.span("transom.call", "plain");
        assert_eq!(call.field("trace_id"), &GIVEN[3..35]);
        assert_eq!(call.field("parent_id"), &GIVEN[36..52]);
        assert_eq!(told, Some(written(&call)));
    })
    .await;
}

pub async fn d3_where_nobody_wants_spans_a_trace_is_passed_on_as_it_is(link: Link) {
    let far = Scene::new(Link::Shm, (), plain()).await;
    let tracing = Tracing { elsewhere: Some(far.client.client()), ..Tracing::default() };
    let middle = Scene::new(link, plain(), serves(tracing)).await;
    let client: TracedClient = middle.client.client();
    let given_before = Some(GIVEN.to_owned());
    assert_eq!(client.plain().with_metadata(given()).await, Ok(given_before.clone()));
    assert_eq!(client.on().with_metadata(given()).await, Ok(vec![given_before.clone(); 2]));
    assert_eq!(client.plain().await, Ok(None));
    assert_eq!(client.on().await, Ok(vec![None; 2]));
    let near = Scene::new(link, (), Forward::to(middle.client.root())).await;
    let client: TracedClient = near.client.client();
    assert_eq!(client.plain().with_metadata(given()).await, Ok(given_before));
}

pub async fn d3_calls_of_threads_are_spans_too(link: Link) {
    let test = move || {
        let collector = Collector::default();
        COLLECTOR.set(Some(collector.clone()));
        let scene = Blocking::new(link, Options::new(), plain());
        let client: TracedBlockingClient = scene.client.client();
        assert_eq!(client.long(b"four"), Ok(4));
        let options = transom::CallOptions::new().with_metadata(given());
        let told = client.with(options).plain().unwrap();
        let call = collector.span("transom.call", "plain");
        assert_eq!((told, call.field("trace_id")), (Some(written(&call)), &GIVEN[3..35]));
        assert_eq!(collector.span("transom.call", "long").field("outcome"), "ok");
        COLLECTOR.set(None);
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

pub async fn d3_frames_are_told_of_to_whom_wants_them(link: Link) {
    let collector = Collector { frames: true, ..Collector::default() };
    collected_by(collector, move |collector| async move {
        let scene = Scene::new(link, (), plain()).await;
        let client: TracedClient = scene.client.client();
        assert_eq!(client.long(b"four").await, Ok(4));
        scene.client.close();
        assert_eq!(scene.server.closed().await, transom::CloseReason::Goodbye);
        let all = collector.all();
        let frames: Vec<_> = all.iter().filter(|told| told.name == "transom::frame").collect();
        for kind in ["Hello", "Welcome", "Confirm", "Bind", "Call", "Response", "Goodbye"] {
            let found: Vec<_> = frames.iter().filter(|frame| frame.field("kind") == kind).collect();
            let directions: Vec<_> = found.iter().map(|frame| frame.field("direction")).collect();
            // Whoever hears the goodbye may answer.
            assert!(directions.starts_with(&["out", "in"]), "{kind}: {directions:?} in {frames:#?}");
            assert!(found.iter().all(|frame| frame.field("connection") == "0"));
            if kind == "Call" || kind == "Response" {
                assert!(found.iter().all(|frame| frame.field("id") == "1"), "{found:?}");
            }
        }
        assert!(!format!("{frames:?}").contains("four"), "what is in them is nobody's business");
    })
    .await;
}
