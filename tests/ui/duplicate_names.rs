#[transom::service]
#[allow(non_snake_case)]
trait Calc {
    async fn add_all(&self) -> u64;
    async fn addAll(&self) -> u64;
}

fn main() {}
