//! Tunnels: N14. Byte streams through a pair of channels, from socket to socket.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use transom::tunnel::{Copied, Tunnel, TunnelError, pump_reader, pump_writer, tunnel_pair};
use transom::{CallError, Options, RecvError, SendFailure, channel};

use crate::lines::{Line, Socket, outcome, pattern, sockets, tcp, tunnels, words};
use crate::scene::Link;
use crate::streams::window;

const SOCKETS: [Socket; 2] = [Socket::Tcp, Socket::Unix];

pub async fn n14_sockets_are_carried_both_ways_at_once(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    for kind in SOCKETS {
        let (there, back) = (pattern(3_000_000, 1), pattern(2_000_000, 2));
        let line = Line::new(kind, &client, &far).await;
        let (mut here_in, mut here_out) = tokio::io::split(line.here);
        let (mut there_in, mut there_out) = tokio::io::split(line.there);
        let (mut got_there, mut got_back) = (Vec::new(), Vec::new());
        let done = tokio::try_join!(
            async {
                here_out.write_all(&there).await.map(drop)?;
                here_out.shutdown().await
            },
            async {
                there_out.write_all(&back).await.map(drop)?;
                there_out.shutdown().await
            },
            async { there_in.read_to_end(&mut got_there).await.map(drop) },
            async { here_in.read_to_end(&mut got_back).await.map(drop) },
        );
        done.expect("no socket fails");
        assert!(got_there == there && got_back == back, "{kind:?}: what arrives is what was sent");
        let copied = Copied { sent: 3_000_000, received: 2_000_000 };
        assert_eq!(line.near.await.expect("no panic").expect("both ended"), copied);
        assert_eq!(line.far.await.expect("no panic"), "2000000 sent, 3000000 received");
    }
}

pub async fn n14_half_close_is_kept_both_ways(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    for kind in SOCKETS {
        for near_ends_first in [true, false] {
            let Line { here, there, near, far } = Line::new(kind, &client, &far).await;
            let (mut first, mut second) = if near_ends_first { (here, there) } else { (there, here) };
            first.write_all(b"question").await.expect("a socket");
            first.shutdown().await.expect("a socket");
            let mut question = String::new();
            second.read_to_string(&mut question).await.expect("a socket");
            assert_eq!(question, "question");
            // The other direction is as open as before, for as long as it is wanted.
            for _ in 0..3 {
                second.write_all(b"answer ").await.expect("a socket");
                let mut answer = [0; 7];
                first.read_exact(&mut answer).await.expect("a socket");
                assert_eq!(&answer, b"answer ");
            }
            assert!(!near.is_finished() && !far.is_finished());
            second.shutdown().await.expect("a socket");
            assert_eq!(first.read(&mut [0; 1]).await.expect("a socket"), 0);
            let ends = (outcome(near.await.expect("no panic")), far.await.expect("no panic"));
            let mut expected = ("8 sent, 21 received".to_owned(), "21 sent, 8 received".to_owned());
            if !near_ends_first {
                std::mem::swap(&mut expected.0, &mut expected.1);
            }
            assert_eq!(ends, expected);
        }
    }
}

pub async fn n14_a_tunnel_comes_in_a_result(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    let (mut there, behind) = sockets(Socket::Unix).await;
    far.put(behind).await;
    let mut stream = client.dial().await.expect("answers").into_stream();
    stream.write_all(b"ask").await.expect("a tunnel");
    let mut asked = [0; 3];
    there.read_exact(&mut asked).await.expect("a socket");
    there.write_all(&asked).await.expect("a socket");
    drop(there);
    let mut told = String::new();
    stream.read_to_string(&mut told).await.expect("a tunnel");
    assert_eq!(told, "ask");
}

pub async fn n14_a_tunnel_is_read_and_written_like_a_socket(link: Link) {
    let (_scene, client, _) = tunnels(link, window(1000)).await;
    let (near, far) = tunnel_pair();
    let echo = tokio::spawn(async move { client.echo(far).await });
    let sent = pattern(300_000, 3);
    let (mut input, mut output) = tokio::io::split(near.into_stream());
    let mut back = Vec::new();
    let done = tokio::try_join!(
        async {
            output.write_all(&sent).await?;
            output.shutdown().await
        },
        async { input.read_to_end(&mut back).await.map(drop) },
    );
    done.expect("the tunnel holds");
    assert!(back == sent);
    assert_eq!(echo.await.expect("no panic"), Ok(300_000));
    let error = output.write(b"more").await.expect_err("it is shut down");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

pub async fn n14_pieces_without_bytes_are_nothing(link: Link) {
    let (_scene, client, _) = tunnels(link, Options::new()).await;
    let (out, rx) = channel();
    let lengths = vec![0, 5, 0, 0, 100_000, 0, 1, 0];
    let pieces = tokio::spawn({
        let (client, lengths) = (client.clone(), lengths.clone());
        async move { client.pieces(lengths, out).await }
    });
    let mut written = Vec::new();
    assert_eq!(pump_writer(rx, &mut written).await.expect("they end"), 100_006);
    assert!(written == vec![7; 100_006]);
    pieces.await.expect("no panic").expect("answers");

    // Read as a stream they are not its end.
    let (near, far) = tunnel_pair();
    drop(far.rx);
    let mut read = Vec::new();
    let (mut stream, sending) = (near.into_stream(), client.pieces(lengths, far.tx));
    let (sent, ended) = tokio::join!(sending, stream.read_to_end(&mut read));
    assert_eq!((sent, ended.expect("they end")), (Ok(()), 100_006));
}

pub async fn n14_one_direction_is_carried_alone(link: Link) {
    let (_scene, client, _) = tunnels(link, Options::new()).await;
    let (tx, rx) = channel();
    let drained = tokio::spawn(async move { client.drain(rx).await });
    let sent = pattern(1_000_000, 4);
    assert_eq!(pump_reader(&sent[..], tx).await.expect("it ends"), 1_000_000);
    assert_eq!(drained.await.expect("no panic"), Ok(1_000_000));
}

/// Is read without end, and says how much was.
struct Endless(Arc<AtomicU64>);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = into.remaining();
        self.0.fetch_add(length as u64, Ordering::Relaxed);
        into.initialize_unfilled().fill(1);
        into.advance(length);
        Poll::Ready(Ok(()))
    }
}

pub async fn n14_who_does_not_read_stops_who_writes(link: Link) {
    const WINDOW: u32 = 100_000;
    const CHUNK: u64 = 32 * 1024;
    let (_scene, client, _) = tunnels(link, window(WINDOW)).await;
    let (near, far) = tunnel_pair();
    client.keep(far).await.expect("answers");
    let read = Arc::new(AtomicU64::new(0));
    let pump = tokio::spawn(near.pump(tokio::io::join(Endless(Arc::clone(&read)), tokio::io::sink())));
    let read = || read.load(Ordering::Relaxed);
    let mut granted = 0;
    for taken in [0, 1_000_000, 1, 5_000_000] {
        granted += client.take(taken).await.expect("answers");
        // Credit comes back by half windows. No more is read than there is credit for, however long one waits.
        let (least, most) = (u64::from(WINDOW) / 2 - CHUNK, u64::from(WINDOW) + CHUNK);
        while read() < granted + least {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            assert_eq!(client.ping().await, Ok(1));
        }
        assert!(read() <= granted + most, "{} bytes were read, and {granted} received", read());
    }
    assert!(!pump.is_finished());
    client.forget().await.expect("answers");
    let error = pump.await.expect("no panic").expect_err("the other end is gone");
    assert!(
        matches!(error, TunnelError::Send(SendFailure::Reset) | TunnelError::Receive(RecvError::Reset)),
        "{}",
        words(&error)
    );
}

/// Gives some bytes to read, then fails, as does writing to it; or is silent and takes nothing.
struct Broken {
    bytes: usize,
    silent: bool,
    broken: bool,
}

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = std::mem::take(&mut self.bytes).min(into.remaining());
        match (length, self.silent) {
            (0, true) => Poll::Pending,
            (0, false) => Poll::Ready(Err(io::Error::other("as the test asks"))),
            _ => {
                into.put_slice(&vec![1; length]);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, _bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken { Poll::Ready(Err(io::Error::other("as the test asks"))) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn is_reset(end: &str) -> bool {
    let ends = [
        "the tunnel takes no more: the receiver takes no more",
        "the tunnel broke off: the sender has reset the channel",
    ];
    ends.contains(&end)
}

pub async fn n14_a_stream_that_fails_resets_the_tunnel(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    // One that cannot be read, at either end, while the other is silent.
    let fails = || Box::new(Broken { bytes: 10, silent: false, broken: false });
    let silent = || sockets(Socket::Unix);
    let nobody = || Box::new(tokio::io::empty());
    let line = Line::between((nobody(), fails()), silent().await, &client, &far).await;
    let Line { there, near, far: far_end, .. } = line;
    assert_eq!(outcome(near.await.expect("no panic")), "reading the stream: as the test asks");
    let end = far_end.await.expect("no panic");
    assert!(is_reset(&end), "{end}");
    drop(there);

    let line = Line::between(silent().await, (nobody(), fails()), &client, &far).await;
    let Line { here, near, far: far_end, .. } = line;
    assert_eq!(far_end.await.expect("no panic"), "reading the stream: as the test asks");
    let end = outcome(near.await.expect("no panic"));
    assert!(is_reset(&end), "{end}");
    drop(here);

    // One that cannot be written.
    let fails = Box::new(Broken { bytes: 0, silent: true, broken: true });
    let mut line = Line::between(silent().await, (nobody(), fails), &client, &far).await;
    line.here.write_all(b"in vain").await.expect("a socket");
    assert_eq!(line.far.await.expect("no panic"), "writing the stream: as the test asks");
    let end = outcome(line.near.await.expect("no panic"));
    assert!(is_reset(&end), "{end}");
}

pub async fn n14_a_socket_that_is_reset_breaks_the_tunnel_off(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    let ((here, near), there) = (tcp().await, sockets(Socket::Tcp).await);
    let line = Line::between((Box::new(tokio::io::empty()), Box::new(near)), there, &client, &far).await;
    here.set_zero_linger().expect("a socket");
    drop(here);
    let end = outcome(line.near.await.expect("no panic"));
    assert!(end.starts_with("reading the stream: "), "{end}");
    let end = line.far.await.expect("no panic");
    assert!(is_reset(&end), "{end}");
}

pub async fn n14_a_pump_that_is_dropped_is_not_the_end_of_its_stream(link: Link) {
    let (_scene, client, _) = tunnels(link, Options::new()).await;
    let (tx, rx) = channel();
    let drained = tokio::spawn(async move { client.drain(rx).await });
    let (mut writer, reader) = tokio::io::duplex(64);
    let pump = tokio::spawn(pump_reader(reader, tx));
    writer.write_all(b"this is not all").await.expect("is read");
    pump.abort();
    assert!(pump.await.expect_err("aborted").is_cancelled());
    let drained = drained.await.expect("no panic");
    let broken = "the tunnel broke off: the sender has reset the channel".to_owned();
    assert_eq!(drained, Err(CallError::User(broken)));
}

pub async fn n14_a_tunnel_ends_with_its_session(link: Link) {
    let (scene, client, far) = tunnels(link, Options::new()).await;
    let mut line = Line::new(Socket::Unix, &client, &far).await;
    line.here.write_all(b"x").await.expect("a socket");
    line.there.read_exact(&mut [0]).await.expect("a socket");
    scene.client.close();
    let error = line.near.await.expect("no panic").expect_err("it is over");
    assert!(
        matches!(
            error,
            TunnelError::Send(SendFailure::Disconnected(_))
                | TunnelError::Receive(RecvError::Disconnected(_))
        ),
        "{}",
        words(&error)
    );
    // The far pump has let go of its socket, too.
    assert_eq!(line.there.read(&mut [0]).await.expect("a socket"), 0);
}

pub async fn n14_a_writer_that_takes_nothing_holds_nobody_up(link: Link) {
    let (_scene, client, far) = tunnels(link, Options::new()).await;
    let stuck = Box::new(Broken { bytes: 0, silent: true, broken: false });
    let nobody = Box::new(tokio::io::empty());
    let mut line = Line::between(sockets(Socket::Unix).await, (nobody, stuck), &client, &far).await;
    line.here.write_all(b"never written").await.expect("a socket");
    assert_eq!(client.ping().await, Ok(1));
    line.near.abort();
    let end = line.far.await.expect("no panic");
    assert!(is_reset(&end), "{end}");
}

pub async fn n14_an_end_that_was_left_ends_the_stream(link: Link) {
    let (_scene, client, _) = tunnels(link, Options::new()).await;
    // Half of a tunnel is a tunnel with one direction that has ended.
    let (near, far) = tunnel_pair();
    let Tunnel { tx, mut rx } = near;
    let echo = tokio::spawn(async move { client.echo(far).await });
    tx.send(b"all".to_vec()).await.expect("is received");
    tx.close();
    assert_eq!(rx.recv().await, Ok(Some(b"all".to_vec())));
    assert_eq!(rx.recv().await, Ok(None));
    assert_eq!(echo.await.expect("no panic"), Ok(3));
    // Both ends here carry nothing, and hold nobody up.
    let (near, far) = tunnel_pair();
    drop(far);
    let mut near = near.into_stream();
    assert_eq!(near.read(&mut [0; 8]).await.expect("it has ended"), 0);
    let failed = poll_fn(|cx| Pin::new(&mut near).poll_write(cx, b"x")).await.expect_err("nobody is there");
    assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
}
