#[transom::service]
struct Calc {
    total: u64,
}

fn main() {}
