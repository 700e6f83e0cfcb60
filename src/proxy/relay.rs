//! Passing a whole connection on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::Forward;
use crate::service::{ConnectionError, IncomingConnection, Session};
use crate::session::{CloseReason, RejectReason};

/// Passes a connection that a peer wants to open on to the peer of `session`: opens one there, and takes the first if that
/// is taken, with what the far peer said; or rejects it for the same reason. Then calls of either side are passed on to the
/// other. It is done when either connection is over, and closes the other; why the one was.
///
/// ```no_run
/// # use transom::{IncomingConnection, Service, Session, proxy};
/// # fn example(behind: Session) -> impl Service {
/// ().accepting(move |incoming: IncomingConnection| {
///     let behind = behind.clone();
///     tokio::spawn(async move { proxy::relay(incoming, &behind).await });
/// })
/// # }
/// ```
///
/// # Errors
/// [`ConnectionError`] if the far peer does not take the connection.
///
/// # Cancel safety
/// Dropped, it closes both connections.
pub async fn relay(incoming: IncomingConnection, session: &Session) -> Result<CloseReason, ConnectionError> {
    let (back, downstream) = Forward::soon();
    let (service, metadata) = (incoming.service().to_owned(), incoming.metadata().propagated());
    let opening =
        session.opening(&service).with_metadata(metadata).with_settings(incoming.settings()).serve(back);
    let far = match opening.open().await {
        Ok(far) => far,
        Err(error) => {
            match &error {
                ConnectionError::Rejected(rejection) => {
                    let metadata = rejection.metadata.propagated();
                    incoming.reject_with(rejection.clone().with_metadata(metadata));
                }
                _ => incoming.reject(RejectReason::NotReady),
            }
            return Err(error);
        }
    };
    let near = incoming.with_metadata(far.metadata().propagated()).serve(Forward::to(far.clone()));
    let Some(near) = near else { return Ok(CloseReason::Goodbye) };
    let set = downstream.set(near.clone());
    debug_assert!(set.is_ok(), "it is set here alone");
    let _both = (Closes(near.clone()), Closes(far.clone()));
    let (mut near, mut far) = (pin!(near.closed()), pin!(far.closed()));
    Ok(poll_fn(|cx| match near.as_mut().poll(cx) {
        Poll::Ready(reason) => Poll::Ready(reason),
        Poll::Pending => far.as_mut().poll(cx),
    })
    .await)
}

/// Closes a connection when dropped.
struct Closes(crate::service::Connection);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}
