//! Where something is in a trace, as W3C's *Trace Context* writes it: `00-<trace>-<span>-<flags>`, in hexadecimal digits.

use std::fmt;

use crate::session::{Entry, Limits, Metadata, Value};
use crate::sys::random;

/// Where something is in a trace: which one it is, and a span of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

/// What wants all spans wants this one recorded.
const SAMPLED: u8 = 1;
/// What it takes at most to tell, with the time that is left to a call.
const BESIDES: usize = 128;

impl TraceContext {
    /// The key of the metadata that carries it.
    pub(crate) const KEY: &str = "traceparent";

    /// The first span of a trace of its own.
    pub(in crate::service) fn root() -> Self {
        // Zeros would mean none.
        Self { trace: u128::from_ne_bytes(random::bytes()).max(1), span: span(), flags: SAMPLED }
    }

    /// Another span of the same trace.
    pub(in crate::service) fn child(self) -> Self {
        Self { span: span(), ..self }
    }

    /// That of who sent `metadata`, if it is in there and is one.
    pub(crate) fn of(metadata: &Metadata) -> Option<Self> {
        match metadata.get(Self::KEY)? {
            Value::Text(text) => Self::read(text),
            Value::Bytes(_) | Value::U64(_) => None,
        }
    }

    /// Has `metadata` tell the peer, in place of what it told before, if both sides have agreed on as much
    /// and on messages as long as one of this `length` is then: no call fails because it is traced.
    pub(crate) fn tell(self, metadata: &mut Metadata, length: usize, agreed: &Limits) {
        metadata.remove(Self::KEY);
        let whole = (length + metadata.encoded_size() + BESIDES) as u64;
        // Whoever passes the call on has something of its own to tell.
        let entry = Entry::new(Self::KEY, self.to_string()).no_propagate();
        if whole <= agreed.payload {
            let (Ok(()) | Err(_)) = metadata.push_within(entry, agreed);
        }
    }

    /// The number of the trace.
    pub(in crate::service) fn trace_id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:032x}", self.trace))
    }

    /// The number of the span.
    pub(in crate::service) fn span_id(self) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{:016x}", self.span))
    }

    fn read(text: &str) -> Option<Self> {
        let (version, rest) = digits(text, 2)?;
        let (trace, rest) = digits(rest.strip_prefix('-')?, 32)?;
        let (span, rest) = digits(rest.strip_prefix('-')?, 16)?;
        let (flags, rest) = digits(rest.strip_prefix('-')?, 2)?;
        let version = u8::try_from(version).ok()?;
        // Later versions may say more behind this.
        let ends = rest.is_empty() || version > 0 && rest.starts_with('-');
        if version == u8::MAX || !ends {
            return None;
        }
        let (span, flags) = (u64::try_from(span).ok()?, u8::try_from(flags).ok()?);
        (trace != 0 && span != 0).then_some(Self { trace, span, flags })
    }
}

fn span() -> u64 {
    u64::from_ne_bytes(random::bytes()).max(1)
}

/// The number that the first hexadecimal digits are, and what follows them.
fn digits(text: &str, count: usize) -> Option<(u128, &str)> {
    let (digits, rest) = text.split_at_checked(count)?;
    let are_digits = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let number = are_digits.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
    Some((number, rest))
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(text: &str) -> Option<TraceContext> {
        let mut metadata = Metadata::new();
        metadata.push(Entry::new(TraceContext::KEY, text)).unwrap();
        TraceContext::of(&metadata)
    }

    #[test]
    fn what_is_written_is_read() {
        let given = read(GIVEN).unwrap();
        assert_eq!(given.to_string(), GIVEN);
        assert_eq!(given.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(given.span_id().to_string(), "00f067aa0ba902b7");
        let root = TraceContext::root();
        assert_eq!(read(&root.to_string()), Some(root));
        let child = given.child();
        assert_eq!((child.trace, child.flags), (given.trace, 1));
        assert_ne!(child.span, given.span);
        assert_ne!(root.trace, TraceContext::root().trace);
    }

    #[test]
    fn what_comes_later_may_say_more() {
        let later = GIVEN.replacen("00", "cc", 1) + "-what-the-future-holds";
        assert_eq!(read(&later), read(GIVEN));
    }

    #[test]
    fn what_is_none_is_none() {
        let zero = |at: usize, count: usize| {
            let mut text = GIVEN.to_owned();
            text.replace_range(at..at + count, &"0".repeat(count));
            text
        };
        let none = [
            String::new(),
            GIVEN[..54].to_owned(),
            GIVEN.to_owned() + "-",
            GIVEN.to_uppercase(),
            GIVEN.replacen("00", "ff", 1),
            GIVEN.replace('-', "_"),
            zero(3, 32),
            zero(36, 16),
            GIVEN.replacen("4b", "+b", 1),
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-01".to_owned(),
        ];
        for text in none {
            assert_eq!(read(&text), None, "{text}");
        }
        let mut bytes = Metadata::new();
        bytes.push(Entry::new(TraceContext::KEY, GIVEN.as_bytes().to_vec())).unwrap();
        assert_eq!(TraceContext::of(&bytes), None);
    }
}
