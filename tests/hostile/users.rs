//! Connectors of another user. Only root can be one: whoever else runs this is told that it is skipped.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use transom::{
    Access, ConnectError, Connector, FallbackReason, HandoverError, OpenError, Options, Refused, Transport,
};

use crate::common::{EchoBlockingClient, EchoClient, Place};
use crate::logs;
use crate::raw::{PATIENCE, Role};
use crate::scene::{Case, Link, Scene};

/// Nobody, on every system.
const NOBODY: u32 = 65_534;

/// Set in the process of the other user: where it connects.
const ADDRESS: &str = "TRANSOM_TEST_ADDRESS";
/// Set in the process of the other user: with which of the two drivers.
const API: &str = "TRANSOM_TEST_API";

/// This test's program where another user can execute it; gone with its directory.
struct Program {
    path: PathBuf,
    _place: Place,
}

impl Program {
    fn new() -> Self {
        let place = Place::new();
        let path = place.beside("program");
        std::fs::copy(std::env::current_exe().expect("this test"), &path).expect("a copy");
        for path in [path.parent().expect("its directory"), &path] {
            std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("its mode");
        }
        Self { path, _place: place }
    }

    /// Another user connects; what it says about that.
    fn connects(&self, address: &str, api: &str) -> String {
        let child = Command::new(&self.path)
            .args(["--exact", "users::what_another_user_does", "--nocapture"])
            .env(ADDRESS, address)
            .env(API, api)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another user");
        let (sender, ended) = channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        let output = ended.recv_timeout(PATIENCE).expect("it does not hang").expect("its output");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let said = String::from_utf8(output.stdout).expect("a text");
        let line = said.lines().find_map(|line| line.split_once("says: "));
        line.unwrap_or_else(|| panic!("{said}")).1.to_owned()
    }
}

/// In the process of the other user: connects, calls, and says what came of it. Otherwise nothing.
#[test]
fn what_another_user_does() {
    let (Ok(address), Ok(api)) = (std::env::var(ADDRESS), std::env::var(API)) else { return };
    let options = Options::new().handshake_timeout(PATIENCE);
    let connector = Connector::new(&address).options(options);
    let said = if api == "async" {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            match connector.session().await {
                Ok(session) => {
                    let answer = session.client::<EchoClient>().echo(b"other").await;
                    assert_eq!(answer, Ok(b"other".to_vec()));
                    session.transport().to_string()
                }
                Err(error) => told(&error),
            }
        })
    } else {
        match connector.session_blocking() {
            Ok(session) => {
                assert_eq!(session.client::<EchoBlockingClient>().echo(b"other"), Ok(b"other".to_vec()));
                session.transport().to_string()
            }
            Err(error) => told(&error),
        }
    };
    println!("says: {said}");
}

/// What an error says, less the address.
fn told(error: &ConnectError) -> String {
    match error {
        ConnectError::Open { source, .. } => format!("{source:?}"),
        ConnectError::Socket { source, .. } => format!("{:?}", source.kind()),
        other => format!("{other:?}"),
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can be another user");
    }
    root
}

fn each_listener(run: impl Fn(Case)) {
    for link in [Link::Shm, Link::Unix] {
        Case::of(Role::Initiator, link).for_each(&run);
    }
}

fn options() -> Options {
    Options::new().handshake_timeout(PATIENCE)
}

/// Another user can look into the directory.
fn open_up(scene: &Scene) {
    let path = scene.path();
    let directory = path.parent().expect("its directory");
    std::fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("its mode");
}

#[test]
fn another_user_is_refused_by_default_and_both_sides_say_so() {
    if !is_root() {
        return;
    }
    let program = Program::new();
    each_listener(|case| {
        let scene = Scene::serving(case, options(), |server| server.mode(0o666));
        open_up(&scene);
        for api in ["async", "blocking"] {
            let refused = OpenError::Handover(HandoverError::Refused(Refused::Forbidden));
            assert_eq!(program.connects(&scene.address, api), format!("{refused:?}"));
            assert_eq!(logs::next(&scene.address), format!("user {NOBODY} is not let in"));
            scene.goes_on();
        }
    });
}

#[test]
fn the_mode_of_the_socket_keeps_another_user_out_by_itself() {
    if !is_root() {
        return;
    }
    let program = Program::new();
    each_listener(|case| {
        let scene = Scene::serving(case, options(), |server| server.access(Access::Anyone));
        open_up(&scene);
        assert_eq!(program.connects(&scene.address, "blocking"), "PermissionDenied");
        scene.goes_on();
    });
}

#[test]
fn another_user_who_is_let_in_goes_over_the_socket_and_both_sides_know_why() {
    if !is_root() {
        return;
    }
    let program = Program::new();
    each_listener(|case| {
        for access in [Access::Users(vec![0, NOBODY]), Access::Anyone] {
            let scene = Scene::serving(case, options(), |server| server.access(access).mode(0o666));
            open_up(&scene);
            for api in ["async", "blocking"] {
                let said = program.connects(&scene.address, api);
                let session = scene.accepted();
                assert_eq!(session.peer().uid, Some(NOBODY));
                let (theirs, ours) = match case.link {
                    Link::Unix => (None, None),
                    // A pipe is opened anew by its owner alone.
                    Link::Shm => (
                        Some(FallbackReason::Attach(
                            "the peer's memory: Permission denied (os error 13)".to_owned(),
                        )),
                        Some(FallbackReason::Peer(transom::PeerReason::Attach)),
                    ),
                    Link::Tcp => unreachable!("it knows no users"),
                };
                assert_eq!(said, Transport::Unix { fallback: theirs }.to_string());
                assert_eq!(session.transport(), Transport::Unix { fallback: ours });
            }
            scene.goes_on();
        }
    });
}

#[test]
fn over_tcp_nobody_knows_that_it_is_another_user() {
    if !is_root() {
        return;
    }
    let program = Program::new();
    for case in Case::of(Role::Initiator, Link::Tcp) {
        let scene = Scene::serving(case, options(), |server| server);
        for api in ["async", "blocking"] {
            assert_eq!(program.connects(&scene.address, api), Transport::Tcp.to_string());
            let peer = scene.accepted().peer();
            assert_eq!((peer.uid, peer.pid), (None, None));
            assert!(peer.address.expect("its address").ip().is_loopback());
        }
        scene.goes_on();
    }
}
