struct Opaque;

#[transom::service]
trait Calc {
    async fn add(&self, a: Opaque) -> u64;
}

fn main() {}
