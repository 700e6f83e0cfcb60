#[transom::service]
trait Calc {
    #[transom(inline)]
    async fn add(&self, a: u64) -> u64;
    #[cfg(unix)]
    async fn subtract(&self, a: u64) -> u64;
}

fn main() {}
