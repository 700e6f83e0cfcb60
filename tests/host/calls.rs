//! Calls between a host and its cell, and what a cell prints.

use transom::{Cause, FallbackReason, Host, PeerReason, Transport};

use crate::cells::{WorkClient, spawn, spawn_without_shm};
use crate::events::{self, Line};
use crate::probe::{eventually, soon};

pub(crate) async fn both_directions_at_once() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    call_both_ways(cell.client()).await;
}

pub(crate) async fn without_shared_memory() {
    let host = Host::new();
    let cell = soon(spawn_without_shm(&host, "worker").start()).await.expect("a cell");
    let fallback = Some(FallbackReason::Peer(PeerReason::SwitchedOff));
    assert_eq!(cell.session().transport(), Transport::Unix { fallback });
    call_both_ways(cell.client()).await;
}

pub(crate) async fn with_a_cell_that_has_no_runtime() {
    let host = Host::new();
    for spawn in [spawn, spawn_without_shm] {
        let cell = soon(spawn(&host, "blocking").start()).await.expect("a cell");
        call_both_ways(cell.client()).await;
        soon(cell.shutdown()).await;
        let report = soon(cell.deaths().next()).await.expect("a report");
        assert_eq!(report.cause, Cause::Exit(0));
    }
}

/// 32 callers, each of which has the cell call back in every second call.
async fn call_both_ways(work: WorkClient) {
    let callers = (0..32_u64).map(|caller| {
        let work = work.clone();
        tokio::spawn(async move {
            for call in 0..50 {
                assert_eq!(work.add(caller, call).await, Ok(caller + call));
                let text = format!("{caller} calls {call}");
                assert_eq!(work.relay(&text).await, Ok(text.to_uppercase()));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        soon(caller).await.expect("no panic");
    }
}

pub(crate) async fn output_comes_out_as_events() {
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").name("talker").start()).await.expect("a cell");
    soon(cell.client::<WorkClient>().say("hello")).await.expect("it speaks");
    let [level, cell_name] = ["INFO", "talker"].map(String::from);
    let out =
        Line { level, cell: cell_name, stream: String::from("stdout"), line: String::from("hello out") };
    let err = Line {
        level: String::from("WARN"),
        stream: String::from("stderr"),
        line: String::from("hello err"),
        ..out.clone()
    };
    eventually("both lines are told", || {
        let lines = events::of("talker");
        lines.contains(&out) && lines.contains(&err)
    })
    .await;
    assert_eq!(events::of("talker").len(), 2);
}
