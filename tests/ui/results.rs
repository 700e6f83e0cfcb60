#[transom::service]
trait Calc {
    async fn borrowed(&self, text: &str) -> &str;
    async fn hidden(&self) -> impl Into<u64>;
    async fn alias(&self) -> std::io::Result<u64>;
}

fn main() {}
