//! Descriptors through a proxy: L7 and X2.

use tokio::sync::mpsc;
use transom::proxy::Forward;
use transom::{CallError, Fd, FdError, channel};

use crate::descriptor_items::{Book, PagesClient, PagesServer, Sheaf, sheaf};
use crate::descriptors::{Cabinet, FilesClient, FilesServer, Watch, holding, text_of};
use crate::scene::{Link, Scene};

/// A session over the one link whose server passes calls on over the other one.
async fn chain(near: Link, far: Link) -> [Scene; 2] {
    let (kept, _) = mpsc::unbounded_channel();
    let services = (FilesServer::new(Cabinet::default()), PagesServer::new(Book(kept)));
    let far = Scene::new(far, (), services).await;
    [Scene::new(near, (), Forward::to(far.client.root())).await, far]
}

pub async fn l7_a_proxy_passes_descriptors_on(link: Link) {
    for far in [Link::Shm, Link::Unix, Link::Mem] {
        let [near, _far] = chain(link, far).await;
        let files: FilesClient = near.client.client();
        assert_eq!(files.read(holding("hello")).await.as_deref(), Ok("hello"));
        let (_, fd) = files.padded(vec![7; 1 << 20], holding("x"), vec![7; 9]).await.expect("answers");
        assert_eq!(text_of(fd), "x, 9");
        let texts: Vec<String> = files.written(64).await.expect("answers").into_iter().map(text_of).collect();
        assert_eq!((texts.len(), texts[63].as_str()), (64, "63"));
        // The proxy keeps none either.
        let (watch, writer) = Watch::new();
        files.keep(Some(Fd::new(writer))).await.expect("answers");
        assert_eq!(files.count().await, Ok(1));
        files.keep(None).await.expect("answers");
        watch.closed().await;
    }
}

pub async fn l7_a_proxy_passes_items_with_descriptors_on(link: Link) {
    let [near, _far] = chain(link, Link::Shm).await;
    let pages: PagesClient = near.client.client();
    let ((tx, rx), (out, mut back)) = (channel(), channel());
    let echo = tokio::spawn(async move { pages.echo(rx, out).await });
    const SIZES: [(usize, usize); 7] =
        [(1, 0), (0, 10), (64, 0), (2, 100 << 10), (5, 20 << 10), (0, 1 << 20), (1, 1 << 20)];
    let sending = tokio::spawn(async move {
        for _ in 0..3 {
            tx.send_all(SIZES.map(|(count, padding)| sheaf(count, padding))).await.expect("are received");
        }
    });
    for (count, padding) in SIZES.into_iter().cycle().take(3 * SIZES.len()) {
        let sheaf = back.recv().await.expect("an item").expect("not the end");
        assert_eq!(sheaf.padding.len(), padding);
        assert!(sheaf.files.into_iter().map(text_of).eq((0..count).map(|number| number.to_string())));
    }
    assert!(back.recv().await.expect("the end").is_none());
    sending.await.expect("no panic");
    assert_eq!(echo.await.expect("no panic"), Ok(()));
}

pub async fn l7_a_proxy_tells_that_the_far_side_takes_none(link: Link) {
    let [near, _far] = chain(link, Link::Tcp).await;
    let files: FilesClient = near.client.client();
    let (watch, writer) = Watch::new();
    let fd = || Fd::new(writer.try_clone().expect("a duplicate"));
    let unsupported = CallError::Descriptors(FdError::Unsupported);
    assert_eq!(files.keep(Some(fd())).await, Err(unsupported.clone()));
    assert_eq!(files.count().await, Ok(0));
    assert_eq!(files.written(1).await.expect_err("it has one"), unsupported);
    // An item arrives without, and is none there.
    let pages: PagesClient = near.client.client();
    let (tx, rx) = channel();
    let sizes = tokio::spawn(async move { pages.sizes(rx).await });
    tx.send(sheaf(0, 1)).await.expect("is sent");
    tx.send(Sheaf { files: vec![fd(), fd()], padding: vec![] }).await.expect("is sent");
    // Far more than the window would hold if they were not taken from it.
    for _ in 0..200 {
        tx.send(Sheaf { files: vec![fd()], padding: vec![] }).await.expect("is sent");
    }
    tx.send(sheaf(0, 0)).await.expect("is sent");
    drop((tx, writer));
    let sizes = sizes.await.expect("no panic").expect("answers");
    assert_eq!((sizes.len(), sizes[0], sizes[202]), (203, Some(0), Some(0)));
    assert!(sizes[1..202].iter().all(Option::is_none));
    watch.closed().await;
}
