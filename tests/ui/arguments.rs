use transom::Context;

struct Config;

#[transom::service]
trait Calc {
    async fn changed(&self, a: &mut u64) -> u64;
    async fn pattern(&self, (a, b): (u64, u64)) -> u64;
    async fn mutable(&self, mut a: u64) -> u64;
    async fn hidden(&self, a: impl Into<u64>) -> u64;
    async fn nested(&self, a: Vec<impl Into<u64>>) -> u64;
    async fn borrowed(&self, config: &Config) -> u64;
    async fn slice(&self, numbers: &[u64]) -> u64;
    async fn forever(&self, text: &'static str) -> u64;
    async fn inferred(&self, a: _) -> u64;
    async fn late(&self, a: u64, cx: &Context) -> u64;
}

fn main() {}
