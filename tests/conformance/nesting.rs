//! Channel ends in arguments and results of every shape: N1. They are those that were put there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use facet::Facet;
use transom::{Rx, Tx, channel};

use crate::scene::{Link, Scene};

#[derive(Facet, Debug)]
pub struct Named {
    name: String,
    out: Tx<String>,
}

#[derive(Facet, Debug)]
#[repr(u8)]
pub enum Shape {
    Nothing,
    One(Tx<String>),
    Several(u8, Tx<String>, Tx<String>),
    Struct { first: Tx<String>, named: Box<Named> },
}

#[derive(Facet, Debug)]
pub struct Everything {
    option: Option<Tx<String>>,
    none: Option<Tx<String>>,
    tuple: (u8, Tx<String>),
    list: Vec<Named>,
    array: [Tx<String>; 2],
    map: BTreeMap<String, Tx<String>>,
    hashed: HashMap<u8, Named>,
    shapes: Vec<Shape>,
    shared: Arc<Tx<String>>,
    result: Result<Tx<String>, String>,
}

#[derive(Facet, Debug)]
pub struct Tree {
    name: String,
    out: Option<Tx<String>>,
    children: Vec<Self>,
}

/// Ends for all parts, in a result.
#[derive(Facet, Debug)]
pub struct Subscription {
    title: Option<Rx<String>>,
    parts: Vec<(u8, Rx<String>)>,
}

#[transom::service]
pub trait Nests {
    /// Says on each end where it was found.
    async fn everything(&self, everything: Everything, label: &str, last: Tx<String>);
    async fn tree(&self, tree: Tree);
    async fn subscribe(&self, parts: u8) -> Result<Subscription, String>;
}

pub struct Nest;

async fn say(out: &Tx<String>, text: impl Into<String>) {
    out.send(text.into()).await.expect("is received");
}

async fn grow(tree: Tree) {
    let mut trees = vec![tree];
    while let Some(tree) = trees.pop() {
        if let Some(out) = tree.out {
            say(&out, tree.name).await;
        }
        trees.extend(tree.children);
    }
}

impl Nests for Nest {
    async fn everything(&self, everything: Everything, label: &str, last: Tx<String>) {
        say(&last, format!("last, {label}")).await;
        say(&everything.option.expect("there"), "option").await;
        assert!(everything.none.is_none());
        say(&everything.tuple.1, "tuple").await;
        for Named { name, out } in everything.list {
            say(&out, format!("list {name}")).await;
        }
        for (at, out) in everything.array.iter().enumerate() {
            say(out, format!("array {at}")).await;
        }
        for (key, out) in everything.map {
            say(&out, format!("map {key}")).await;
        }
        for (key, named) in everything.hashed {
            say(&named.out, format!("hashed {key} {}", named.name)).await;
        }
        for shape in everything.shapes {
            match shape {
                Shape::Nothing => {}
                Shape::One(out) => say(&out, "one").await,
                Shape::Several(number, one, other) => {
                    say(&one, format!("several {number} a")).await;
                    say(&other, format!("several {number} b")).await;
                }
                Shape::Struct { first, named } => {
                    say(&first, "first").await;
                    say(&named.out, format!("boxed {}", named.name)).await;
                }
            }
        }
        say(&everything.shared, "shared").await;
        say(&everything.result.expect("good"), "result").await;
    }

    async fn tree(&self, tree: Tree) {
        grow(tree).await;
    }

    async fn subscribe(&self, parts: u8) -> Result<Subscription, String> {
        if parts == 0 {
            return Err("nothing to subscribe to".to_owned());
        }
        let sender = |text: String| {
            let (tx, rx) = channel();
            tokio::spawn(async move { say(&tx, text).await });
            rx
        };
        let title = Some(sender("title".to_owned()));
        Ok(Subscription {
            title,
            parts: (0..parts).map(|part| (part, sender(format!("part {part}")))).collect(),
        })
    }
}

/// Makes ends, and knows what is to be said on each.
#[derive(Default)]
struct Ears(Vec<(&'static str, Rx<String>)>);

impl Ears {
    fn out(&mut self, expected: &'static str) -> Tx<String> {
        let (tx, rx) = channel();
        self.0.push((expected, rx));
        tx
    }

    fn named(&mut self, name: &str, expected: &'static str) -> Named {
        Named { name: name.to_owned(), out: self.out(expected) }
    }

    async fn hear(self) {
        for (expected, mut rx) in self.0 {
            assert_eq!(rx.recv().await.expect("said").as_deref(), Some(expected));
            assert_eq!(rx.recv().await, Ok(None), "{expected} and no more");
        }
    }
}

async fn nests(link: Link) -> (Scene, NestsClient) {
    let scene = Scene::new(link, (), NestsServer::new(Nest)).await;
    let client = scene.client.client();
    (scene, client)
}

pub async fn n1_every_end_of_an_argument_is_the_one_that_was_put_there(link: Link) {
    let (_scene, client) = nests(link).await;
    let mut ears = Ears::default();
    let everything = Everything {
        result: Ok(ears.out("result")),
        option: Some(ears.out("option")),
        none: None,
        tuple: (1, ears.out("tuple")),
        list: vec![ears.named("a", "list a"), ears.named("b", "list b")],
        array: [ears.out("array 0"), ears.out("array 1")],
        map: [("x", "map x"), ("y", "map y")].map(|(key, text)| (key.to_owned(), ears.out(text))).into(),
        hashed: [(7, ears.named("seven", "hashed 7 seven")), (8, ears.named("eight", "hashed 8 eight"))]
            .into(),
        shapes: vec![
            Shape::Struct { named: Box::new(ears.named("n", "boxed n")), first: ears.out("first") },
            Shape::Nothing,
            Shape::Several(2, ears.out("several 2 a"), ears.out("several 2 b")),
            Shape::One(ears.out("one")),
        ],
        shared: Arc::new(ears.out("shared")),
    };
    let last = ears.out("last, label");
    let (called, ()) = tokio::join!(client.everything(everything, "label", last), ears.hear());
    called.expect("answers");
}

pub async fn n1_ends_in_a_tree_are_those_of_its_branches(link: Link) {
    let (_scene, client) = nests(link).await;
    let mut ears = Ears::default();
    let mut tree = |name: &'static str, hears: bool, children| Tree {
        name: name.to_owned(),
        out: hears.then(|| ears.out(name)),
        children,
    };
    let leaves = vec![tree("leaf", true, vec![]), tree("silent", false, vec![])];
    let branch = tree("branch", true, leaves);
    let root = tree("root", true, vec![branch]);
    let (called, ()) = tokio::join!(client.tree(root), ears.hear());
    called.expect("answers");
}

pub async fn n1_ends_in_a_result_outlive_the_call(link: Link) {
    let (_scene, client) = nests(link).await;
    let Subscription { title, parts } = client.subscribe(3).await.expect("answers");
    let mut title = title.expect("there");
    assert_eq!(title.recv().await, Ok(Some("title".to_owned())));
    assert_eq!(parts.len(), 3);
    for (part, mut rx) in parts {
        assert_eq!(rx.recv().await, Ok(Some(format!("part {part}"))));
        assert_eq!(rx.recv().await, Ok(None));
    }
    assert!(client.subscribe(0).await.is_err(), "and an error has none");
}
