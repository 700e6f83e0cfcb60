//! The `transom` command.

mod bench;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Typed calls between processes, through shared memory first.
#[derive(Debug, Parser)]
#[command(name = "transom", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures calls on this machine, beside the machine's limit taken in the same run.
    Bench(bench::Options),
    /// The other process of `bench`.
    #[command(hide = true)]
    BenchPeer(bench::PeerOptions),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::BenchPeer(options) => bench::run_peer(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error and what caused it.
fn complain(error: &dyn Error) {
    eprint!("transom: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}
