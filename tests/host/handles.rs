//! Who keeps a cell alive.

use transom::Host;

use crate::cells::{WorkClient, spawn};
use crate::probe::{Other, Resources, eventually, has_children, soon};

pub(crate) async fn a_cell_lives_as_long_as_its_host() {
    let before = Resources::now();
    let host = Host::new();
    let other_handle = host.clone();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    let work: WorkClient = cell.client();
    drop((cell, host));
    assert_eq!(soon(work.add(1, 2)).await, Ok(3));
    drop(other_handle);
    eventually("it is killed and reaped", || !has_children()).await;
    soon(work.add(1, 2)).await.expect_err("it is dead");
    drop(work);
    before.come_back().await;
}

pub(crate) async fn a_cell_lives_as_long_as_its_handle() {
    let before = Resources::now();
    let host = Host::new();
    let cell = soon(spawn(&host, "worker").start()).await.expect("a cell");
    let other_handle = cell.clone();
    drop((cell, host));
    let work: WorkClient = other_handle.client();
    assert_eq!(soon(work.add(1, 2)).await, Ok(3));
    drop(other_handle);
    eventually("it is killed and reaped", || !has_children()).await;
    drop(work);
    before.come_back().await;
}

pub(crate) async fn a_runtime_that_ends_takes_its_cells_along() {
    let on_another_thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let host = Host::new();
        let cell = runtime.block_on(soon(spawn(&host, "worker").start())).expect("a cell");
        let process = Other::new(cell.pid().expect("it lives"));
        drop(runtime);
        assert!(!process.is_alive());
        assert!(!has_children());
        (host, cell)
    });
    let (_host, cell) = on_another_thread.join().expect("no panic");
    soon(cell.ready()).await.expect_err("nobody looks after it");
    soon(cell.shutdown()).await;
}
