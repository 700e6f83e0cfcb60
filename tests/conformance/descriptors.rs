//! Descriptors in arguments and results: L7. On every link that carries any; what differs over TCP is here, too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{PipeWriter, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use facet::Facet;
use rustix::io::{FdFlags, fcntl_getfd};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use transom::{CallError, Context, Fd, FdError, Options, Rx, Tx, channel};

use crate::scene::{Blocking, Link, Scene};

/// A pipe with a text in it.
pub fn holding(text: &str) -> Fd {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(text.as_bytes()).expect("as much as a pipe holds");
    Fd::new(reader)
}

/// What is to be read to its end.
pub fn text_of(fd: impl Into<OwnedFd>) -> String {
    let (mut text, mut file) = (String::new(), File::from(fd.into()));
    file.read_to_string(&mut text).expect("can be read");
    text
}

/// Tells when all descriptors of one end of a pipe have been closed.
pub struct Watch(pipe::Receiver);

impl Watch {
    /// A watch, and what it watches.
    pub fn new() -> (Self, PipeWriter) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (Self(pipe::Receiver::from_owned_fd(reader.into()).expect("a pipe")), writer)
    }

    /// Waits until all have been closed.
    pub async fn closed(mut self) {
        let read = self.0.read_u8().await;
        assert!(read.is_err(), "nobody writes");
    }
}

/// So many pipes with a number in each.
fn numbered(count: usize) -> Vec<Fd> {
    (0..count).map(|number| holding(&number.to_string())).collect()
}

#[derive(Facet, Debug)]
#[repr(u8)]
pub enum Shape {
    Nothing,
    One(Fd),
    Named { text: String, second: Box<Fd> },
}

#[derive(Facet, Debug)]
pub struct Nested {
    option: Option<Fd>,
    none: Option<Fd>,
    out: Tx<String>,
    tuple: (u8, Fd),
    map: BTreeMap<String, Fd>,
    shapes: Vec<Shape>,
    rx: Rx<u64>,
    array: [Fd; 2],
}

#[transom::service]
pub trait Files {
    async fn read(&self, from: Fd) -> String;
    async fn read_all(&self, from: Vec<Fd>) -> Vec<String>;
    async fn written(&self, count: u8) -> Vec<Fd>;
    async fn nested(&self, label: &str, nested: Nested, last: Fd) -> Vec<String>;
    /// Has the caller read it.
    async fn turn(&self, cx: &Context, from: Fd) -> String;
    /// With as many bytes, either way.
    async fn padded(&self, before: Vec<u8>, from: Fd, after: Vec<u8>) -> Result<(Vec<u8>, Fd), String>;
    async fn keep(&self, fd: Option<Fd>);
    async fn count(&self) -> u64;
    async fn never(&self, fd: Fd) -> Fd;
    async fn fails(&self, fd: Fd) -> Result<Fd, String>;
}

/// What nobody serves.
#[transom::service]
pub trait Missing {
    async fn pass(&self, fd: Fd);
}

/// Keeps what it is to keep.
#[derive(Default)]
pub struct Cabinet(std::sync::Mutex<Vec<Option<Fd>>>);

impl Files for Cabinet {
    async fn read(&self, from: Fd) -> String {
        let flags = fcntl_getfd(&from).expect("it is open");
        assert!(flags.contains(FdFlags::CLOEXEC));
        text_of(from)
    }
    async fn read_all(&self, from: Vec<Fd>) -> Vec<String> {
        from.into_iter().map(text_of).collect()
    }
    async fn written(&self, count: u8) -> Vec<Fd> {
        numbered(count.into())
    }
    async fn nested(&self, label: &str, nested: Nested, last: Fd) -> Vec<String> {
        nested.out.send("sent".to_owned()).await.expect("is received");
        drop(nested.rx);
        assert!(nested.none.is_none());
        let mut texts = vec![label.to_owned(), text_of(nested.option.expect("there"))];
        texts.push(format!("{} {}", nested.tuple.0, text_of(nested.tuple.1)));
        texts.extend(nested.map.into_iter().map(|(key, fd)| format!("{key} {}", text_of(fd))));
        for shape in nested.shapes {
            match shape {
                Shape::Nothing => {}
                Shape::One(fd) => texts.push(text_of(fd)),
                Shape::Named { text, second } => texts.push(format!("{text} {}", text_of(*second))),
            }
        }
        texts.extend(nested.array.map(text_of));
        texts.push(text_of(last));
        texts
    }
    async fn turn(&self, cx: &Context, from: Fd) -> String {
        let caller: FilesClient = cx.client();
        let turned = from.try_clone().expect("it can be duplicated");
        drop(from);
        format!("turned, {}", caller.read(turned).await.expect("answers"))
    }
    async fn padded(&self, before: Vec<u8>, from: Fd, after: Vec<u8>) -> Result<(Vec<u8>, Fd), String> {
        let text = text_of(from);
        assert!(before.iter().chain(&after).all(|&byte| byte == 7));
        Ok((before, holding(&format!("{text}, {}", after.len()))))
    }
    async fn keep(&self, fd: Option<Fd>) {
        let mut all = self.0.lock().expect("no panic");
        if fd.is_some() { all.push(fd) } else { all.clear() }
    }
    async fn count(&self) -> u64 {
        self.0.lock().expect("no panic").len() as u64
    }
    async fn never(&self, _: Fd) -> Fd {
        std::future::pending().await
    }
    async fn fails(&self, _: Fd) -> Result<Fd, String> {
        Err("as the test asks".to_owned())
    }
}

pub async fn files(link: Link) -> (Scene, FilesClient) {
    let scene =
        Scene::new(link, FilesServer::new(Cabinet::default()), FilesServer::new(Cabinet::default())).await;
    let client = scene.client.client();
    (scene, client)
}

pub async fn l7_a_handler_reads_from_what_its_caller_has_passed(link: Link) {
    let (_scene, client) = files(link).await;
    for _ in 0..100 {
        assert_eq!(client.read(holding("hello")).await.as_deref(), Ok("hello"));
    }
    // While the writer is still at it.
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let reading = tokio::spawn(async move { client.read(Fd::new(reader)).await });
    writer.write_all(b"slowly").expect("is read");
    drop(writer);
    assert_eq!(reading.await.expect("no panic").as_deref(), Ok("slowly"));
}

pub async fn l7_descriptors_come_in_their_order(link: Link) {
    let (_scene, client) = files(link).await;
    for count in [0, 1, 5, 64] {
        let expected: Vec<String> = (0..count).map(|number: usize| number.to_string()).collect();
        assert_eq!(client.read_all(numbered(count)).await, Ok(expected));
    }
}

pub async fn l7_a_result_brings_descriptors(link: Link) {
    let (scene, client) = files(link).await;
    for count in [0, 1, 5, 64] {
        let written = client.written(count).await.expect("answers");
        let texts: Vec<String> = written.into_iter().map(text_of).collect();
        assert_eq!(texts, (0..count).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    // And the other way round.
    let back: FilesClient = scene.server.client();
    assert_eq!(back.written(3).await.expect("answers").len(), 3);
}

pub async fn l7_descriptors_are_found_wherever_they_are(link: Link) {
    let (_scene, client) = files(link).await;
    let (out, mut heard) = channel();
    let (tx, rx) = channel();
    let nested = Nested {
        option: Some(holding("option")),
        none: None,
        out,
        tuple: (7, holding("tuple")),
        map: [("a", "map a"), ("b", "map b")].map(|(key, text)| (key.to_owned(), holding(text))).into(),
        shapes: vec![
            Shape::Named { text: "named".to_owned(), second: Box::new(holding("boxed")) },
            Shape::Nothing,
            Shape::One(holding("one")),
        ],
        rx,
        array: [holding("first"), holding("second")],
    };
    let texts = client.nested("label", nested, holding("last")).await.expect("answers");
    let expected =
        ["label", "option", "7 tuple", "a map a", "b map b", "named boxed", "one", "first", "second", "last"];
    assert_eq!(texts, expected);
    assert_eq!(heard.recv().await, Ok(Some("sent".to_owned())));
    tx.closed().await;
}

pub async fn l7_what_was_passed_is_passed_on(link: Link) {
    let (_scene, client) = files(link).await;
    assert_eq!(client.turn(holding("hello")).await.as_deref(), Ok("turned, hello"));
}

pub async fn l7_they_come_with_calls_and_results_in_fragments(link: Link) {
    let (_scene, client) = files(link).await;
    for lengths in [(1 << 20, 10), (10, 1 << 20), (1 << 20, 1 << 20), (16 << 10, 48 << 10)] {
        let (before, after) = (vec![7; lengths.0], vec![7; lengths.1]);
        let (back, fd) = client.padded(before, holding("text"), after).await.expect("answers");
        assert_eq!((back.len(), text_of(fd)), (lengths.0, format!("text, {}", lengths.1)));
    }
    // With others in between.
    let calls = (0..20).map(|call: usize| {
        let client = client.clone();
        tokio::spawn(async move {
            let padding = || vec![7; if call.is_multiple_of(2) { 300 << 10 } else { 100 }];
            let (_, fd) = client.padded(padding(), holding("x"), padding()).await.expect("answers");
            assert_eq!(text_of(fd), format!("x, {}", padding().len()));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic");
    }
}

pub async fn l7_no_more_go_with_a_message_than_may(link: Link) {
    let (_scene, client) = files(link).await;
    let (watch, writer) = Watch::new();
    let many =
        |count| (0..count).map(|_| Fd::new(writer.try_clone().expect("a duplicate"))).collect::<Vec<_>>();
    let too_many = CallError::Descriptors(FdError::TooMany { count: 65, limit: 64 });
    assert_eq!(client.read_all(many(65)).await, Err(too_many.clone()));
    assert_eq!(client.written(65).await.expect_err("there are too many"), too_many);
    assert_eq!(client.written(64).await.expect("answers").len(), 64);
    drop(writer);
    watch.closed().await;
}

pub async fn l7_who_sends_keeps_nothing(link: Link) {
    let (_scene, client) = files(link).await;
    let (watch, writer) = Watch::new();
    client.keep(Some(Fd::new(writer))).await.expect("answers");
    assert_eq!(client.count().await, Ok(1));
    client.keep(None).await.expect("answers");
    watch.closed().await;
    // Nor does it wait for the answer before it closes it.
    let (watch, writer) = Watch::new();
    let (out, back) = std::io::pipe().expect("a pipe");
    let reading = tokio::spawn(async move { client.read_all(vec![Fd::new(out), Fd::new(writer)]).await });
    let reading_ends = async {
        drop(back);
        reading.await.expect("no panic")
    };
    // The second is the writing end of a pipe: it cannot be read.
    assert_eq!(reading_ends.await, Err(CallError::HandlerPanicked));
    watch.closed().await;
}

pub async fn l7_whatever_becomes_of_a_call_none_stay_open(link: Link) {
    let (scene, client) = files(link).await;
    let (watch, writer) = Watch::new();
    let fd = || Fd::new(writer.try_clone().expect("a duplicate"));
    drop(client.keep(Some(fd())));
    let missing: MissingClient = scene.client.client();
    assert_eq!(missing.pass(fd()).await, Err(CallError::UnknownMethod));
    assert_eq!(
        client.fails(fd()).await.map(text_of),
        Err(CallError::User("as the test asks".to_owned())),
        "an error has none"
    );
    let time = Duration::from_millis(1);
    assert_eq!(client.never(fd()).deadline(time).await.map(text_of), Err(CallError::DeadlineExceeded));
    let many = || (0..64).map(|_| fd()).collect::<Vec<_>>();
    let past = Instant::now();
    assert_eq!(client.read_all(many()).deadline_at(past).await, Err(CallError::DeadlineExceeded));
    // And those that the handler has when the session ends.
    let held = tokio::spawn({
        let (client, fd) = (client.clone(), fd());
        async move { client.never(fd).await.map(text_of) }
    });
    assert_eq!(client.count().await, Ok(0));
    scene.client.close();
    assert!(matches!(held.await.expect("no panic"), Err(CallError::Disconnected { .. })));
    assert!(matches!(client.keep(Some(fd())).await, Err(CallError::Disconnected { .. })));
    drop(writer);
    watch.closed().await;
}

pub async fn l7_many_callers_wait_for_room_for_theirs(link: Link) {
    let (_scene, client) = files(link).await;
    // More than are on their way at a time, and more than requests in flight may have; plain calls go on meanwhile.
    let calls = (0..40).map(|call| {
        let client = client.clone();
        tokio::spawn(async move {
            for count in [[20, 0], [0, 30]][call % 2] {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                drop(writer);
                let all = (0..count).map(|_| Fd::new(reader.try_clone().expect("a duplicate"))).collect();
                drop(reader);
                assert_eq!(client.read_all(all).await.map(|texts| texts.len()), Ok(count));
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic");
    }
}

pub async fn l7_threads_pass_descriptors(link: Link) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let scene = Blocking::new(link, Options::new(), FilesServer::new(Cabinet::default()));
        let client: FilesBlockingClient = scene.client.client();
        assert_eq!(client.read(holding("hello")).as_deref(), Ok("hello"));
        let (_, fd) = client.padded(vec![7; 1 << 20], holding("x"), vec![]).expect("answers");
        assert_eq!(text_of(fd), "x, 0");
        let texts: Vec<String> = client.written(64).expect("answers").into_iter().map(text_of).collect();
        assert_eq!((texts.len(), texts[63].as_str()), (64, "63"));
        done.send(()).expect("is waited for");
    });
    is_done.await.expect("no panic");
}

pub async fn l7_none_go_over_tcp(link: Link) {
    let (_scene, client) = files(link).await;
    let unsupported = CallError::Descriptors(FdError::Unsupported);
    let (watch, writer) = Watch::new();
    assert_eq!(client.keep(Some(Fd::new(writer))).await, Err(unsupported.clone()));
    watch.closed().await;
    assert_eq!(client.count().await, Ok(0), "nothing ran");
    assert_eq!(client.written(1).await.expect_err("it has one"), unsupported);
    assert_eq!(client.written(0).await.expect("it has none").len(), 0);
    assert_eq!(client.keep(None).await, Ok(()));
}
