//! The `transom` command.

mod bench;
mod demo;

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
    /// Shows a host and four cells at work: calls both ways, streams, a tunnel, a proxy, a crash, the recovery.
    Demo(demo::Options),
    /// Measures calls on this machine, beside the machine's limit taken in the same run.
    Bench(bench::Options),
    /// A cell of `demo`.
    #[command(hide = true)]
    DemoCell(demo::CellOptions),
    /// The other process of `bench`.
    #[command(hide = true)]
    BenchPeer(bench::PeerOptions),
}

fn main() -> ExitCode {
    let outcome: Result<(), Box<dyn Error>> = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options).map_err(Into::into),
        Command::Bench(options) => bench::run(&options).map_err(Into::into),
        Command::DemoCell(options) => demo::run_cell(&options).map_err(Into::into),
        Command::BenchPeer(options) => bench::run_peer(&options).map_err(Into::into),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
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
