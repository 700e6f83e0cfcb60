#[transom::service]
trait Calc {
    async fn fails(&self) -> Result<u64, transom::Tx<u64>>;
    async fn nested(&self) -> Result<(), Vec<Option<transom::Rx<u64>>>>;
    async fn tuple(&self, out: transom::Tx<u64>) -> Result<transom::Rx<u64>, (u64, transom::Rx<u64>)>;
    async fn borrows(&self, out: transom::Tx<&str>);
    async fn deep(&self, numbers: Option<transom::Rx<Vec<&[u8]>>>);
    async fn result(&self) -> transom::Rx<&str>;
}

fn main() {}
