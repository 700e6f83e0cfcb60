struct Opaque;

#[transom::service]
trait Calc {
    async fn unknown(&self, out: transom::Tx<Opaque>);
}

fn main() {
    let (_tx, _rx) = transom::channel::<std::rc::Rc<u64>>();
}
