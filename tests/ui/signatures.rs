#[transom::service]
trait Calc {
    async fn generic<T>(&self, a: T) -> u64;
    async fn lifetime<'a>(&self, a: &'a str) -> u64;
    async fn bounded(&self, a: u64) -> u64
    where
        Self: Sized;
    async unsafe fn dangerous(&self) -> u64;
    extern "C" fn foreign(&self) -> u64;
    async fn with(&self) -> u64;
}

fn main() {}
