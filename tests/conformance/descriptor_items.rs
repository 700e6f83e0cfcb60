//! Descriptors in the items of channels: L7.

use std::os::fd::AsFd as _;
use std::pin::pin;
use std::time::Duration;

use facet::Facet;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::sync::mpsc;
use transom::{
    Fd, FdError, Options, RecvError, Rx, SendError, SendFailure, TryRecvError, TrySendError, Tx, channel,
    channel_with_window,
};

use crate::descriptors::{Watch, holding, text_of};
use crate::scene::{Blocking, Link, Scene};

/// An item with a descriptor, or without.
#[derive(Facet, Debug)]
pub struct Page {
    name: String,
    file: Option<Fd>,
}

fn page(number: usize) -> Page {
    let file = (!number.is_multiple_of(3)).then(|| holding(&format!("text {number}")));
    Page { name: format!("page {number}"), file }
}

/// An item with any number.
#[derive(Facet, Debug)]
pub struct Sheaf {
    pub files: Vec<Fd>,
    pub padding: Vec<u8>,
}

/// One that holds files with numbers in them.
pub fn sheaf(count: usize, padding: usize) -> Sheaf {
    let files = (0..count).map(|number| holding(&number.to_string())).collect();
    Sheaf { files, padding: vec![7; padding] }
}

/// What is on a page, for one that [`page`] has made.
fn is_page(page: Page, number: usize) {
    let text = page.file.map(text_of);
    let expected = (!number.is_multiple_of(3)).then(|| format!("text {number}"));
    assert_eq!((page.name, text), (format!("page {number}"), expected));
}

#[transom::service]
pub trait Pages {
    /// What is on the pages, to their end.
    fn read(&self, pages: Rx<Page>) -> u64;
    fn write(&self, count: u64, out: Tx<Page>);
    fn written(&self, count: u64) -> Rx<Page>;
    /// Passes them on as they come.
    async fn echo(&self, sheaves: Rx<Sheaf>, out: Tx<Sheaf>) -> Result<(), String>;
    async fn keep(&self, pages: Rx<Fd>);
    /// How many files each has; none of one that does not decode.
    async fn sizes(&self, sheaves: Rx<Sheaf>) -> Vec<Option<u64>>;
    async fn never(&self, pages: Rx<Fd>);
}

/// Keeps receivers that it does not read from.
pub struct Book(pub mpsc::UnboundedSender<Rx<Fd>>);

impl Pages for Book {
    fn read(&self, mut pages: Rx<Page>) -> u64 {
        let mut read = 0;
        while let Some(page) = pages.blocking_recv().expect("an item, or the end") {
            is_page(page, read);
            read += 1;
        }
        read as u64
    }
    fn write(&self, count: u64, out: Tx<Page>) {
        out.blocking_send_all((0..count as usize).map(page)).expect("are received");
    }
    fn written(&self, count: u64) -> Rx<Page> {
        let (tx, rx) = channel();
        std::thread::spawn(move || {
            for number in 0..count as usize {
                tx.blocking_send(page(number)).expect("is received");
            }
        });
        rx
    }
    async fn echo(&self, mut sheaves: Rx<Sheaf>, out: Tx<Sheaf>) -> Result<(), String> {
        while let Some(sheaf) = sheaves.recv().await.map_err(|error| error.to_string())? {
            out.send(sheaf).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
    async fn sizes(&self, mut sheaves: Rx<Sheaf>) -> Vec<Option<u64>> {
        let mut sizes = Vec::new();
        loop {
            match sheaves.recv().await {
                Ok(Some(sheaf)) => sizes.push(Some(sheaf.files.len() as u64)),
                Ok(None) => return sizes,
                Err(RecvError::Undecodable { .. }) => sizes.push(None),
                Err(error) => panic!("{error}"),
            }
        }
    }
    async fn keep(&self, pages: Rx<Fd>) {
        self.0.send(pages).expect("is kept");
    }
    async fn never(&self, _: Rx<Fd>) {
        std::future::pending().await
    }
}

/// Runs a test on a thread, since it waits, with a client whose session has no runtime, nor has its peer's.
async fn on_a_thread(link: Link, test: impl FnOnce(PagesBlockingClient) + Send + 'static) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let (kept, _keeps) = mpsc::unbounded_channel();
        let scene = Blocking::new(link, Options::new(), PagesServer::new(Book(kept)));
        test(scene.client.client());
        done.send(()).expect("is waited for");
    });
    is_done.await.expect("no panic");
}

/// A session, a client, and the receivers that are kept.
async fn pages(link: Link, options: Options) -> (Scene, PagesClient, mpsc::UnboundedReceiver<Rx<Fd>>) {
    let (kept, keeps) = mpsc::unbounded_channel();
    let scene = Scene::with(link, options, (), PagesServer::new(Book(kept))).await;
    let client = scene.client.client();
    (scene, client, keeps)
}

pub async fn l7_items_bring_descriptors_to_threads_and_back(link: Link) {
    on_a_thread(link, |client| {
        let (tx, rx) = channel();
        let sending = std::thread::spawn(move || {
            tx.blocking_send_all((0..100).map(page)).expect("are received");
            for number in 100..300 {
                tx.blocking_send(page(number)).expect("is received");
            }
        });
        assert_eq!(client.read(rx), Ok(300));
        sending.join().expect("no panic");
        let (tx, mut rx) = channel();
        let writing = std::thread::scope(|scope| {
            let writing = scope.spawn(|| client.write(200, tx));
            for number in 0..200 {
                is_page(rx.blocking_recv().expect("an item").expect("not the end"), number);
            }
            writing.join().expect("no panic")
        });
        assert_eq!(writing, Ok(()));
        let mut written = client.written(50).expect("answers");
        for number in 0..50 {
            is_page(written.blocking_recv().expect("an item").expect("not the end"), number);
        }
        assert_eq!(written.blocking_recv().expect("the end").map(|page| page.name), None);
    })
    .await;
}

pub async fn l7_items_of_any_size_are_passed_on_in_order(link: Link) {
    let (_scene, client, _) = pages(link, Options::new()).await;
    let ((tx, rx), (out, mut back)) = (channel(), channel());
    let echo = tokio::spawn(async move { client.echo(rx, out).await });
    // Some are longer than a frame, and some than the window.
    const SIZES: [(usize, usize); 10] = [
        (0, 0),
        (1, 0),
        (5, 20 << 10),
        (0, 100 << 10),
        (64, 0),
        (2, 1 << 20),
        (1, 64 << 10),
        (0, 0),
        (64, 64 << 10),
        (3, 16 << 10),
    ];
    let sending = tokio::spawn(async move {
        for (count, padding) in SIZES {
            tx.send(sheaf(count, padding)).await.expect("is received");
        }
        tx.send_all(SIZES.map(|(count, padding)| sheaf(count, padding))).await.expect("are received");
    });
    for (count, padding) in SIZES.into_iter().chain(SIZES) {
        let sheaf = back.recv().await.expect("an item").expect("not the end");
        assert_eq!(sheaf.padding.len(), padding);
        assert!(sheaf.files.into_iter().map(text_of).eq((0..count).map(|number| number.to_string())));
    }
    assert!(back.recv().await.expect("the end").is_none());
    sending.await.expect("no panic");
    assert_eq!(echo.await.expect("no panic"), Ok(()));
}

pub async fn l7_descriptors_take_credit(link: Link) {
    let (_scene, client, mut keeps) = pages(link, Options::new()).await;
    // Each costs 1024 bytes more than the item.
    let (tx, rx) = channel_with_window(1 << 20);
    client.keep(rx).await.expect("answers");
    let mut kept = keeps.recv().await.expect("is kept");
    let (watch, writer) = Watch::new();
    let mut sent = 0;
    let full = loop {
        match tx.try_send(Fd::new(writer.try_clone().expect("a duplicate"))) {
            Ok(()) => sent += 1,
            Err(TrySendError::Full(fd)) => break fd,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(sent, (64 << 10) / (1024 + 1 + 32), "as many as the window holds");
    // It is what it was, and can be sent again.
    assert!(full.as_fd().try_clone_to_owned().is_ok());
    let mut waiting = pin!(tx.send(full));
    assert!(tokio::time::timeout(Duration::ZERO, &mut waiting).await.is_err());
    for _ in 0..sent {
        kept.recv().await.expect("an item").expect("not the end");
    }
    waiting.await.expect("there is credit");
    drop(writer);
    assert!(kept.recv().await.expect("an item").is_some());
    watch.closed().await;
}

pub async fn l7_a_sink_and_a_stream_carry_descriptors(link: Link) {
    let (_scene, client, mut keeps) = pages(link, Options::new()).await;
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    let (mut tx, mut kept) = (pin!(tx), pin!(keeps.recv().await.expect("is kept")));
    for number in 0..100 {
        std::future::poll_fn(|cx| tx.as_mut().poll_ready(cx)).await.expect("is received");
        tx.as_mut().start_send(holding(&number.to_string())).expect("has an encoding");
        std::future::poll_fn(|cx| tx.as_mut().poll_flush(cx)).await.expect("is received");
        let item = std::future::poll_fn(|cx| kept.as_mut().poll_next(cx)).await;
        assert_eq!(text_of(item.expect("not the end").expect("an item")), number.to_string());
    }
    // One that was put in and is lost with the sink is closed.
    let (watch, writer) = Watch::new();
    tx.as_mut().start_send(Fd::new(writer)).expect("has an encoding");
    tx.set(channel().0);
    watch.closed().await;
}

pub async fn l7_items_that_nobody_takes_are_closed(link: Link) {
    let (_scene, client, mut keeps) = pages(link, Options::new()).await;
    let (watch, writer) = Watch::new();
    let fd = || Fd::new(writer.try_clone().expect("a duplicate"));
    // Dropped by the receiver, with some that have arrived, some that have not, and some that were taken.
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    tx.send_all((0..20).map(|_| fd())).await.expect("are sent");
    let mut kept = keeps.recv().await.expect("is kept");
    drop(kept.recv().await.expect("an item"));
    drop(kept);
    let rest = loop {
        match tx.send(fd()).await {
            Ok(()) => {}
            Err(SendError { item, reason }) => break (item, reason),
        }
    };
    assert_eq!(rest.1, SendFailure::Reset);
    drop(rest);
    // Reset by the sender.
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    tx.send_all((0..20).map(|_| fd())).await.expect("are sent");
    tx.reset();
    let mut kept = keeps.recv().await.expect("is kept");
    while let Ok(Some(fd)) = kept.recv().await {
        drop(fd);
    }
    // Taken by a handler that is dropped with its call.
    let (tx, rx) = channel();
    let never = tokio::spawn({
        let client = client.clone();
        async move { client.never(rx).await }
    });
    tx.send(fd()).await.expect("is sent");
    never.abort();
    tx.closed().await;
    drop((tx, writer));
    watch.closed().await;
}

pub async fn l7_an_item_with_too_many_harms_nothing(link: Link) {
    let (_scene, client, _) = pages(link, Options::new()).await;
    let ((tx, rx), (out, mut back)) = (channel(), channel());
    let echo = tokio::spawn(async move { client.echo(rx, out).await });
    let (watch, writer) = Watch::new();
    let files = (0..65).map(|_| Fd::new(writer.try_clone().expect("a duplicate"))).collect();
    drop(writer);
    let sent = tx.send(Sheaf { files, padding: vec![] }).await;
    let SendError { mut item, reason } = sent.expect_err("they are too many");
    assert_eq!(reason, SendFailure::Descriptors(FdError::TooMany { count: 65, limit: 64 }));
    item.files.pop();
    tx.send(item).await.expect("goes on");
    assert_eq!(back.recv().await.expect("an item").expect("not the end").files.len(), 64);
    watch.closed().await;
    drop(tx);
    assert!(back.recv().await.expect("the end").is_none());
    assert_eq!(echo.await.expect("no panic"), Ok(()));
}

pub async fn l7_no_more_wait_here_than_may(link: Link) {
    let (_scene, client, mut keeps) = pages(link, Options::new().descriptors(3)).await;
    let (watch, writer) = Watch::new();
    let (tx, rx) = channel();
    client.keep(rx).await.expect("answers");
    tx.send_all((0..3).map(|_| holding("kept"))).await.expect("are sent");
    tx.send(Fd::new(writer)).await.expect("is sent");
    // Though nobody has asked for it.
    watch.closed().await;
    let mut kept = keeps.recv().await.expect("is kept");
    for _ in 0..3 {
        assert_eq!(text_of(kept.recv().await.expect("an item").expect("not the end")), "kept");
    }
    let lost = kept.recv().await.expect_err("its descriptor is closed");
    assert!(matches!(&lost, RecvError::Undecodable { detail } if detail.contains("wait here")), "{lost}");
    assert!(!lost.is_final());
    // There is room again.
    tx.send(holding("more")).await.expect("is sent");
    assert_eq!(text_of(kept.recv().await.expect("an item").expect("not the end")), "more");
    assert!(matches!(kept.try_recv(), Err(TryRecvError::Empty)));
}

pub async fn l7_items_without_descriptors_go_over_tcp(link: Link) {
    let (_scene, client, _) = pages(link, Options::new()).await;
    let ((tx, rx), (out, mut back)) = (channel(), channel());
    let echo = tokio::spawn(async move { client.echo(rx, out).await });
    tx.send(sheaf(0, 1)).await.expect("it has none");
    let (watch, writer) = Watch::new();
    let sent = tx.send(Sheaf { files: vec![Fd::new(writer)], padding: vec![] }).await;
    let SendError { item, reason } = sent.expect_err("it has one");
    assert_eq!(reason, SendFailure::Descriptors(FdError::Unsupported));
    drop(item);
    watch.closed().await;
    tx.send_all([sheaf(0, 2), sheaf(0, 3)]).await.expect("they have none");
    drop(tx);
    for padding in 1..=3 {
        assert_eq!(back.recv().await.expect("an item").expect("not the end").padding.len(), padding);
    }
    assert!(back.recv().await.expect("the end").is_none());
    assert_eq!(echo.await.expect("no panic"), Ok(()));
}
