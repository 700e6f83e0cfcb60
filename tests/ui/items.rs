#[transom::service]
trait Calc {
    const LIMIT: u64;
    type Number;
    async fn add(&self, a: u64) -> u64 {
        a
    }
}

fn main() {}
