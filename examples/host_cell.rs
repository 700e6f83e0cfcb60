//! A host and its cell in one binary: this program executes itself as the cell, which counts words in what its host
//! reads to it.
//!
//! ```console
//! cargo run --example host_cell
//! ```

use std::error::Error;
use std::process::Command;

use facet::Facet;
use transom::{Context, Host, cell};

/// What the cell serves.
#[transom::service]
trait Words {
    /// How often the word occurs in what the host reads to the cell.
    async fn count(&self, cx: &Context, word: &str) -> Result<usize, Unread>;
}

/// What the host serves.
#[transom::service]
trait Reader {
    /// A line, until there are no more.
    async fn line(&self, number: usize) -> Option<String>;
}

/// The host did not read to the end.
#[derive(Debug, Facet)]
struct Unread;

struct Counter;

impl Words for Counter {
    async fn count(&self, cx: &Context, word: &str) -> Result<usize, Unread> {
        let reader: ReaderClient = cx.client();
        let mut count = 0;
        for number in 0.. {
            let Some(line) = reader.line(number).await.map_err(|_| Unread)? else { break };
            count += line.split_whitespace().filter(|found| *found == word).count();
        }
        Ok(count)
    }
}

struct ThisFile;

impl Reader for ThisFile {
    async fn line(&self, number: usize) -> Option<String> {
        include_str!("host_cell.rs").lines().nth(number).map(String::from)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if cell::is_cell() {
        return Ok(cell::run(WordsServer::new(Counter)).await?);
    }
    let host = Host::new();
    let this_program = Command::new(std::env::current_exe()?);
    let cell = host.spawn(this_program).name("words").serve(ReaderServer::new(ThisFile)).start().await?;
    let words: WordsClient = cell.client();
    let count = words.count("the").await?;
    println!("`the` occurs {count} times, says process {:?} over {}", cell.pid(), cell.session().transport());
    host.shutdown().await;
    Ok(())
}
