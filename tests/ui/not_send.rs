use std::rc::Rc;

#[transom::service]
trait Calc {
    async fn add(&self, a: u64) -> u64;
}

struct Mine;

impl Calc for Mine {
    async fn add(&self, a: u64) -> u64 {
        let held = Rc::new(a);
        std::future::ready(()).await;
        *held
    }
}

fn main() {}
