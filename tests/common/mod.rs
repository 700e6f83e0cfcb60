//! What several tests serve, and where.

#![allow(dead_code, unreachable_pub, unused_imports)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use transom::Context;

/// Answers with what it is asked.
#[transom::service]
pub trait Echoes {
    /// The same bytes.
    fn echo(&self, bytes: &[u8]) -> Vec<u8>;
    /// What the caller's own service makes of the text.
    async fn call_back(&self, cx: &Context, text: &str) -> String;
    /// No answer.
    async fn never(&self);
    /// A panic.
    async fn panics(&self);
}

/// Answers loudly.
#[transom::service]
pub trait Shouts {
    /// The text in capitals.
    fn shout(&self, text: &str) -> String;
}

pub use self::{
    EchoesBlockingClient as EchoBlockingClient, EchoesClient as EchoClient, EchoesServer as EchoServer,
    ShoutsBlockingClient as ShoutBlockingClient, ShoutsClient as ShoutClient, ShoutsServer as ShoutServer,
};

/// An [`Echoes`].
pub struct Echo;

impl Echoes for Echo {
    fn echo(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    async fn call_back(&self, cx: &Context, text: &str) -> String {
        let shout: ShoutClient = cx.client();
        shout.shout(text).await.unwrap_or_else(|error| error.to_string())
    }

    async fn never(&self) {
        std::future::pending().await
    }

    async fn panics(&self) {
        panic!("as the test asks");
    }
}

/// A [`Shouts`].
pub struct Shout;

impl Shouts for Shout {
    fn shout(&self, text: &str) -> String {
        text.to_uppercase()
    }
}

/// A directory of a test's own, removed with it.
pub struct Place(PathBuf);

impl Place {
    /// A new one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("transom-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    /// Where a socket may be.
    pub fn path(&self) -> PathBuf {
        self.beside("a.sock")
    }

    /// Another name beside it.
    pub fn beside(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
