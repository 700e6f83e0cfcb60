#[transom::service]
unsafe trait Unsafe {
    async fn add(&self, a: u64) -> u64;
}

#[transom::service]
trait Generic<T> {
    async fn add(&self, a: u64) -> u64;
}

#[transom::service]
trait Bounded
where
    Self: Sized,
{
    async fn add(&self, a: u64) -> u64;
}

fn main() {}
