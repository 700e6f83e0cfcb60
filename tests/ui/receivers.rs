use std::sync::Arc;

#[transom::service]
trait Calc {
    async fn none(a: u64) -> u64;
    async fn owned(self, a: u64) -> u64;
    async fn unique(&mut self, a: u64) -> u64;
    async fn shared(self: Arc<Self>, a: u64) -> u64;
}

fn main() {}
