//! What to measure, as given on the command line.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::{Args, ValueEnum};

/// The bytes of an item of stream-64b and of channels-1000, and of stream-64k.
pub(super) const SMALL: usize = 64;
pub(super) const LARGE: usize = 64 * 1024;
/// Channels that are open at the same time in channels-1000.
pub(super) const CHANNELS: usize = 1000;

/// How figures come about, shown below the options.
const FIGURES: &str = "\
Figures are medians of interleaved rounds: the limit, then the calls, and so on. `limit_p50` is what two processes, placed \
alike, reach without Transom:
  shm, hot and echo    one cache line passed to and fro by spinning, plus four copies of an echo's payload
  shm, unary-cold      the same pauses, then a shared futex (blocking) or a bell descriptor in the runtime (async)
  shm, unary-conc64    frames through the bare ring, 64 outstanding, each answered by a frame
  shm, --pin same      a shared futex in place of spinning
  shm, streams         the same bytes one way through the bare ring: a batch, a piece or an item in each frame
  unix, tcp            the same bytes through a plain socket of that kind, written and read with the same API
  mem, idle-cpu, links none
`ratio` is the median of the rounds' ratios: p50 to the limit's p50, and for unary-conc64 and streams the limit's rate to \
that of calls or items. 1 is as good as the machine, for either. `cpu_ms` is the CPU time of both processes in the measured rounds, and \
for idle-cpu over two seconds, connected and idle.
stream-64b, stream-64k and channels-1000 have the other process send items to this one as fast as they are received, over \
one channel or in turn over a thousand; `per_second` counts items.
links-200 starts a host and its cells, written with the API of the row. After some hundred calls each way it gives, for each link, how much the host's resident memory has grown, RssAnon and RssShmem, and its descriptors. `cpu_ms` is that of all processes together, idle for two seconds; the latencies are those of a call to each cell in turn, in eleven rounds. There are cells on shm and unix only.";

/// The options of `transom bench`.
#[derive(Args, Debug)]
#[command(after_help = FIGURES)]
pub(crate) struct Options {
    /// What to measure; everything by default.
    #[arg(long = "scenario", value_enum, value_delimiter = ',')]
    scenarios: Vec<Scenario>,
    /// What carries the calls.
    #[arg(long = "transport", value_enum, value_delimiter = ',', default_value = "shm")]
    transports: Vec<Transport>,
    /// The API on both sides: a tokio current-thread runtime, or blocking threads; both by default.
    #[arg(long = "api", value_enum, value_delimiter = ',')]
    apis: Vec<Api>,
    /// How long to measure for each row.
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: Duration,
    /// Where the two processes run: on one CPU, on one each, or where the scheduler puts them.
    #[arg(long, value_enum, default_value = "apart")]
    pub(super) pin: Pin,
    /// Microseconds between the calls of unary-cold.
    #[arg(long, default_value = "1000")]
    gap_us: NonZeroU64,
    /// How many cells links-200 has.
    #[arg(long, default_value = "200")]
    links: NonZeroU32,
    /// Print each row as a JSON object on a line of its own.
    #[arg(long)]
    pub(super) json: bool,
}

/// The options of the other process.
#[derive(Args, Debug)]
pub(crate) struct PeerOptions {
    /// What this process is the peer of.
    #[arg(long, value_enum)]
    pub(super) job: Job,
    #[command(flatten)]
    pub(super) case: Case,
    /// Where to serve.
    #[arg(long, default_value = "")]
    pub(super) address: String,
    /// The CPU to run on.
    #[arg(long)]
    pub(super) cpu: Option<usize>,
}

/// What one row is about.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Case {
    #[arg(long, value_enum)]
    pub(super) scenario: Scenario,
    #[arg(long, value_enum)]
    pub(super) transport: Transport,
    #[arg(long, value_enum)]
    pub(super) api: Api,
    #[arg(long, value_enum)]
    pub(super) pin: Pin,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Sixteen bytes there and back, back to back.
    #[value(name = "unary-hot-raw")]
    UnaryHotRaw,
    /// Two numbers there and one back, back to back.
    #[value(name = "unary-hot")]
    UnaryHot,
    /// The same, a pause before each.
    #[value(name = "unary-cold")]
    UnaryCold,
    /// The same, 64 in flight.
    #[value(name = "unary-conc64")]
    UnaryConc64,
    /// A kibibyte there and back, back to back.
    #[value(name = "echo-1k")]
    Echo1k,
    /// 64 KiB there and back, back to back.
    #[value(name = "echo-64k")]
    Echo64k,
    /// Items of 64 bytes on a channel.
    #[value(name = "stream-64b")]
    Stream64b,
    /// Items of 64 KiB on a channel.
    #[value(name = "stream-64k")]
    Stream64k,
    /// Items of 64 bytes on a thousand channels, one on each in turn.
    #[value(name = "channels-1000")]
    Channels1000,
    /// Nothing at all, for two seconds.
    #[value(name = "idle-cpu")]
    IdleCpu,
    /// A host and many cells: what each link costs, and a call over each.
    #[value(name = "links-200")]
    Links200,
}

/// What carries the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Transport {
    /// Shared memory.
    Shm,
    /// A Unix socket.
    Unix,
    /// A TCP socket, over loopback.
    Tcp,
    /// Queues, within one process.
    Mem,
}

/// With which API both sides are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Api {
    /// Futures on a tokio current-thread runtime.
    Async,
    /// Threads, without a runtime.
    Blocking,
}

/// Where the two sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Pin {
    /// Both on the first CPU.
    Same,
    /// On the first and on the second CPU.
    Apart,
    /// Wherever the scheduler puts them.
    None,
}

/// What the other process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Job {
    /// Serves the calls.
    Service,
    /// Is the other end of the limit.
    Limit,
    /// Starts cells and measures them.
    Host,
    /// Is one of a host's cells.
    Cell,
}

impl Options {
    /// The rows, in the order in which they are measured.
    pub(super) fn cases(&self) -> Vec<Case> {
        let scenarios = or_all(&self.scenarios);
        let apis = or_all(&self.apis);
        let mut cases = Vec::new();
        for &transport in &self.transports {
            for &scenario in scenarios {
                if scenario == Scenario::Links200 && !transport.has_cells() {
                    continue;
                }
                cases.extend(apis.iter().map(|&api| Case { scenario, transport, api, pin: self.pin }));
            }
        }
        cases
    }

    /// How long a row may take.
    pub(super) fn time(&self) -> Duration {
        self.seconds
    }

    /// How many links a host has.
    pub(super) fn links(&self) -> u32 {
        self.links.get()
    }

    /// The pause between cold calls.
    pub(super) fn gap(&self) -> Duration {
        Duration::from_micros(self.gap_us.get())
    }
}

impl Case {
    /// The arguments from which another process gets the same case.
    pub(super) fn arguments(&self) -> [String; 8] {
        let option = |name: &str| format!("--{name}");
        [
            option("scenario"),
            name(self.scenario),
            option("transport"),
            name(self.transport),
            option("api"),
            name(self.api),
            option("pin"),
            name(self.pin),
        ]
    }
}

impl Transport {
    /// Whether a host has cells over it.
    fn has_cells(self) -> bool {
        matches!(self, Self::Shm | Self::Unix)
    }
}

impl Scenario {
    /// Whether items are received, and no calls made.
    pub(super) fn streams(self) -> bool {
        matches!(self, Self::Stream64b | Self::Stream64k | Self::Channels1000)
    }

    /// Bytes that each call carries in each direction, or each item.
    pub(super) fn payload(self) -> usize {
        match self {
            Self::UnaryHotRaw
            | Self::UnaryHot
            | Self::UnaryCold
            | Self::UnaryConc64
            | Self::IdleCpu
            | Self::Links200 => 16,
            Self::Echo1k => 1024,
            Self::Echo64k => 64 * 1024,
            Self::Stream64b | Self::Channels1000 => SMALL,
            Self::Stream64k => LARGE,
        }
    }
}

/// How a value is written on the command line, and in a row.
pub(super) fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn or_all<T: ValueEnum>(chosen: &[T]) -> &[T] {
    if chosen.is_empty() { T::value_variants() } else { chosen }
}

fn seconds(text: &str) -> Result<Duration, BadSeconds> {
    let seconds: f64 = text.parse().map_err(|_| BadSeconds)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or(BadSeconds)
}

/// Not a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of seconds above zero is wanted")]
struct BadSeconds;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Bench {
        #[command(flatten)]
        options: Options,
    }

    #[derive(Parser)]
    struct Peer {
        #[command(flatten)]
        options: PeerOptions,
    }

    fn parse(arguments: &str) -> Result<Options, clap::Error> {
        Bench::try_parse_from(["bench"].into_iter().chain(arguments.split_whitespace()))
            .map(|bench| bench.options)
    }

    #[test]
    fn everything_is_measured_unless_chosen() {
        let options = parse("").unwrap();
        assert_eq!(options.cases().len(), Scenario::value_variants().len() * 2);
        assert!(
            options.cases().iter().all(|case| case.transport == Transport::Shm && case.pin == Pin::Apart)
        );
        assert_eq!((options.time(), options.gap()), (Duration::from_secs(1), Duration::from_millis(1)));
    }

    #[test]
    fn scenarios_are_listed_and_repeated() {
        let options =
            parse("--scenario unary-hot,echo-1k --scenario idle-cpu --api blocking --pin same --gap-us 20")
                .unwrap();
        let cases = options.cases();
        let scenarios: Vec<Scenario> = cases.iter().map(|case| case.scenario).collect();
        assert_eq!(scenarios, [Scenario::UnaryHot, Scenario::Echo1k, Scenario::IdleCpu]);
        assert!(cases.iter().all(|case| case.api == Api::Blocking && case.pin == Pin::Same));
        assert_eq!(options.gap(), Duration::from_micros(20));
    }

    #[test]
    fn there_are_no_cells_over_tcp_or_within_one_process() {
        let options = parse("--scenario links-200 --transport shm,tcp,mem --links 3").unwrap();
        let transports: Vec<Transport> = options.cases().iter().map(|case| case.transport).collect();
        assert_eq!(transports, [Transport::Shm; 2]);
        assert_eq!(options.links(), 3);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for bad in [
            "--seconds 0",
            "--seconds -1",
            "--seconds NaN",
            "--seconds x",
            "--seconds 1e400",
            "--gap-us 0",
            "--links 0",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("--scenario unary-lukewarm").is_err());
    }

    #[test]
    fn a_case_survives_the_command_line() {
        for &scenario in Scenario::value_variants() {
            let case = Case { scenario, transport: Transport::Unix, api: Api::Async, pin: Pin::None };
            let arguments = ["peer", "--job", "limit"].map(str::to_owned).into_iter().chain(case.arguments());
            let parsed =
                Peer::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).options.case;
            assert_eq!(parsed.scenario, case.scenario);
            assert_eq!((parsed.transport, parsed.api, parsed.pin), (case.transport, case.api, case.pin));
        }
    }
}
