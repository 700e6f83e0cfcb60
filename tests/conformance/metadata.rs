//! Metadata on results, what a context tells, and how calls are configured: R9, R10 and R14.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use transom::proxy::Forward;
use transom::{CallError, Context, Entry, Limits, Metadata, MetadataError, Options, Rx, Value, channel};

use crate::scene::{Blocking, Link, Scene};

/// Attaches to its results what it is told.
#[transom::service]
pub trait Attaches {
    /// The caller's own metadata, back.
    async fn mirror(&self, cx: &Context) -> u64;
    /// So many entries; how many there are when one is too many, and why.
    async fn many(&self, cx: &Context, count: u64, size: u64) -> (u64, String);
    /// One entry, and an error.
    async fn fail(&self, cx: &Context) -> Result<u64, String>;
    /// One entry by the handler, and another one by a task that it waits for.
    async fn together(&self, cx: &Context) -> Rx<u64>;
    /// How often anything was asked, this time included.
    async fn asked(&self) -> u32;
}

#[derive(Default)]
pub struct Attaching {
    asked: AtomicU32,
}

fn number(key: &str, value: u64) -> Entry {
    Entry::new(key, value)
}

impl Attaches for Attaching {
    async fn mirror(&self, cx: &Context) -> u64 {
        for entry in cx.metadata() {
            cx.attach(entry.clone()).unwrap();
        }
        cx.metadata().len() as u64
    }
    async fn many(&self, cx: &Context, count: u64, size: u64) -> (u64, String) {
        for at in 0..count {
            if let Err(full) = cx.attach(Entry::new("n", vec![1; size as usize])) {
                return (at, full.to_string());
            }
        }
        (count, String::new())
    }
    async fn fail(&self, cx: &Context) -> Result<u64, String> {
        cx.attach(number("n", 1)).unwrap();
        Err("as the test asks".to_owned())
    }
    async fn together(&self, cx: &Context) -> Rx<u64> {
        cx.attach(number("handler", 1)).unwrap();
        let shared = cx.clone();
        let task = tokio::spawn(async move { shared.attach(number("task", 2)) });
        task.await.unwrap().unwrap();
        let (tx, rx) = channel();
        tokio::spawn(async move { tx.send(3).await });
        rx
    }
    async fn asked(&self) -> u32 {
        self.asked.fetch_add(1, Ordering::Relaxed) + 1
    }
}

async fn attaching(link: Link, options: Options) -> (Scene, AttachesClient) {
    let scene = Scene::with(link, options, (), AttachesServer::new(Attaching::default())).await;
    let client = scene.client.client();
    (scene, client)
}

/// Entries of every kind.
fn entries() -> Metadata {
    let mut metadata = Metadata::new();
    metadata.push(Entry::new("text", "one").sensitive()).unwrap();
    metadata.push(Entry::new("bytes", vec![2; 10_000]).no_propagate()).unwrap();
    metadata.push(number("number", 3)).unwrap();
    metadata.push(number("number", 4)).unwrap();
    metadata
}

pub async fn r9_a_handler_attaches_metadata_to_its_result(link: Link) {
    let (_scene, client) = attaching(link, Options::new()).await;
    let response = client.mirror().with_metadata(entries()).response().await.unwrap();
    assert_eq!((response.value, response.metadata), (4, entries()), "in order, with their flags");
    let response = client.mirror().response().await.unwrap();
    assert_eq!((response.value, response.metadata), (0, Metadata::new()));
    assert_eq!(client.mirror().with_metadata(entries()).await, Ok(4), "nobody need ask for it");
    let response = client.together().response().await.unwrap();
    let attached: Vec<_> =
        response.metadata.iter().map(|entry| (entry.key(), entry.value().clone())).collect();
    assert_eq!(attached, [("handler", Value::U64(1)), ("task", Value::U64(2))]);
    let mut items = response.value;
    assert_eq!((items.recv().await, items.recv().await), (Ok(Some(3)), Ok(None)));
}

pub async fn r9_nothing_goes_along_with_a_failure(link: Link) {
    let (_scene, client) = attaching(link, Options::new()).await;
    let failed = client.fail().response().await;
    assert_eq!(failed.unwrap_err(), CallError::User("as the test asks".to_owned()));
    let response = client.mirror().response().await.unwrap();
    assert!(response.metadata.is_empty(), "nor with the next answer");
}

pub async fn r9_too_much_metadata_is_an_error(link: Link) {
    let mut limits = Limits::default();
    (limits.metadata_entries, limits.metadata_size) = (3, 1000);
    let (_scene, client) = attaching(link, Options::new().limits(limits)).await;
    let response = client.many(3, 1).response().await.unwrap();
    assert_eq!((response.value.0, response.metadata.len()), (3, 3));
    let response = client.many(4, 1).response().await.unwrap();
    assert_eq!(response.value, (3, MetadataError::Entries { limit: 3 }.to_string()));
    assert_eq!(response.metadata.len(), 3, "what was attached before goes along");
    let response = client.many(3, 400).response().await.unwrap();
    assert_eq!((response.value.0, response.metadata.len()), (2, 2));
    assert!(response.value.1.contains("exceeds 1000"), "{}", response.value.1);
    // The caller's own.
    let failed = client.mirror().with_metadata(entries()).await.unwrap_err();
    assert!(matches!(failed, CallError::TooLarge { .. }), "{failed}");
    assert_eq!(client.mirror().await, Ok(0), "the session is unharmed");
}

pub async fn r9_metadata_of_a_result_goes_through_a_proxy(link: Link) {
    let (far, _) = attaching(Link::Shm, Options::new()).await;
    let near = Scene::new(link, (), Forward::to(far.client.root())).await;
    let client: AttachesClient = near.client.client();
    let mut marked = Metadata::new();
    marked.push(number("stays", 1).no_propagate()).unwrap();
    let response = client.mirror().with_metadata(marked).response().await.unwrap();
    assert_eq!(response.value, 0, "it has not reached the service");
    let response = client.many(2, 5).response().await.unwrap();
    assert_eq!((response.value.0, response.metadata.len()), (2, 2));
    let response = client.together().response().await.unwrap();
    assert_eq!(response.metadata.len(), 2);
    let mut items = response.value;
    assert_eq!((items.recv().await, items.recv().await), (Ok(Some(3)), Ok(None)));
}

/// Attaches without a runtime.
#[transom::service]
pub trait Counts {
    fn count(&self, cx: &Context, text: &str) -> u64;
}

struct Counting;

impl Counts for Counting {
    fn count(&self, cx: &Context, text: &str) -> u64 {
        cx.attach(number("letters", text.len() as u64)).unwrap();
        text.split(' ').count() as u64
    }
}

pub async fn r9_threads_get_what_goes_along_with_results(link: Link) {
    let test = move || {
        let scene = Blocking::new(link, Options::new(), CountsServer::new(Counting));
        let client: CountsClient = scene.client.client();
        let response = client.count("what there is").deadline(Duration::from_secs(20)).blocking_response();
        let response = response.unwrap();
        assert_eq!((response.value, response.metadata.get("letters")), (3, Some(&Value::U64(13))));
        let late = client.count("too late").deadline(Duration::ZERO).blocking_response();
        assert_eq!(late.unwrap_err(), CallError::DeadlineExceeded);
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

/// Knows who calls.
#[transom::service]
pub trait Knows {
    /// What is called, and by whom.
    async fn call(&self, cx: &Context) -> (String, u64, String);
    /// What two who work on the same call tell each other.
    async fn together(&self, cx: &Context) -> Vec<String>;
}

struct Knowing;

/// A note for somebody else.
#[derive(Debug, PartialEq)]
struct Note(String);

impl Knows for Knowing {
    async fn call(&self, cx: &Context) -> (String, u64, String) {
        let name = format!("{} {} on {}", cx.service(), cx.method(), cx.connection().id());
        assert!(!cx.cancellation().is_cancelled() && cx.session().is_open() && cx.metadata().is_empty());
        assert_eq!(cx.deadline().is_some(), cx.time_left().is_some());
        (name, cx.request_id(), format!("{:?}", cx.peer()))
    }
    async fn together(&self, cx: &Context) -> Vec<String> {
        let extensions = cx.extensions();
        assert_eq!(extensions.get::<Note>(), None, "each call has its own");
        assert_eq!(extensions.insert(Note("first".to_owned())), None);
        assert_eq!(extensions.insert(7_u64), None);
        let other = cx.clone();
        let task = tokio::spawn(async move { other.extensions().insert(Note("second".to_owned())) });
        let notes = [task.await.unwrap(), extensions.get::<Note>(), extensions.remove::<Note>()];
        assert_eq!(extensions.remove::<Note>(), None);
        assert!(format!("{extensions:?}").contains("u64"));
        notes.into_iter().map(|note| note.map_or_else(String::new, |note| note.0.clone())).collect()
    }
}

pub async fn r10_a_context_tells_what_is_known_of_the_call(link: Link) {
    let scene = Scene::new(link, (), KnowsServer::new(Knowing)).await;
    let client: KnowsClient = scene.client.client();
    let peer = format!("{:?}", scene.server.peer());
    for request in [1, 3] {
        let known = client.call().deadline(Duration::from_secs(20)).await.unwrap();
        assert_eq!(known, ("knows call on 0".to_owned(), request, peer.clone()));
    }
}

pub async fn r10_those_who_work_on_a_call_share_what_they_like(link: Link) {
    let scene = Scene::new(link, (), KnowsServer::new(Knowing)).await;
    let client: KnowsClient = scene.client.client();
    for _ in 0..2 {
        assert_eq!(client.together().await.unwrap(), ["first", "second", "second"]);
    }
}

pub async fn r14_a_call_is_configured_before_it_is_made(link: Link) {
    let (_scene, client) = attaching(link, Options::new()).await;
    let shared = Arc::new(client);
    let never = shared.asked();
    let asked = shared.asked().deadline(Duration::from_secs(20)).with_metadata(entries()).await;
    assert_eq!(asked, Ok(1), "the other one is not made yet");
    drop(never);
    let later = shared.asked().with_metadata(entries()).deadline(Duration::from_secs(20));
    assert_eq!(shared.asked().await, Ok(2));
    assert_eq!(later.await, Ok(3));
}
