//! facet-postcard's parser, with a bound on nesting: reflection recurses for each level, and a peer that could
//! choose the depth could run this process out of stack.

use facet::Shape;
use facet_format::{
    DeserializeErrorKind, EnumVariantHint, FormatParser, ParseError, ParseEvent, ParseEventKind, SavePoint,
    ScalarTypeHint,
};
use facet_postcard::PostcardParser;

/// Levels of structs, enum cases and collections that a value may have. A level takes 11 KiB of stack when
/// optimised and 110 KiB when not; threads have 2 MiB.
const LEVELS: usize = if cfg!(debug_assertions) { 12 } else { 64 };

/// A parser that refuses to go deeper than [`LEVELS`].
pub(super) struct Bounded<'a> {
    parser: PostcardParser<'a>,
    levels: usize,
}

impl<'a> Bounded<'a> {
    /// Reads from the start of `bytes`. A collection has at most as many elements as there are bytes: each takes
    /// one at least.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { parser: PostcardParser::with_limits(bytes, bytes.len() as u64), levels: 0 }
    }

    /// How many bytes have been read.
    pub(super) fn read(&self) -> usize {
        self.parser.current_span().map_or(0, |span| span.offset as usize)
    }
}

impl<'a> FormatParser<'a> for Bounded<'a> {
    fn next_event(&mut self) -> Result<Option<ParseEvent<'a>>, ParseError> {
        let event = self.parser.next_event()?;
        match event.as_ref().map(|event| &event.kind) {
            Some(ParseEventKind::StructStart(_) | ParseEventKind::SequenceStart(_)) => {
                self.levels += 1;
                if self.levels > LEVELS {
                    let message = format!("nested deeper than {LEVELS} levels").into();
                    let span = self.parser.current_span().unwrap_or_default();
                    return Err(ParseError::new(span, DeserializeErrorKind::InvalidValue { message }));
                }
            }
            Some(ParseEventKind::StructEnd | ParseEventKind::SequenceEnd) => {
                self.levels = self.levels.saturating_sub(1);
            }
            _ => {}
        }
        Ok(event)
    }

    fn peek_event(&mut self) -> Result<Option<ParseEvent<'a>>, ParseError> {
        self.parser.peek_event()
    }

    fn skip_value(&mut self) -> Result<(), ParseError> {
        self.parser.skip_value()
    }

    fn save(&mut self) -> SavePoint {
        self.parser.save()
    }

    fn restore(&mut self, point: SavePoint) {
        self.parser.restore(point);
    }

    fn format_namespace(&self) -> Option<&'static str> {
        self.parser.format_namespace()
    }

    fn is_self_describing(&self) -> bool {
        self.parser.is_self_describing()
    }

    fn hint_struct_fields(&mut self, fields: usize) {
        self.parser.hint_struct_fields(fields);
    }

    fn hint_scalar_type(&mut self, hint: ScalarTypeHint) {
        self.parser.hint_scalar_type(hint);
    }

    fn hint_sequence(&mut self) {
        self.parser.hint_sequence();
    }

    fn hint_byte_sequence(&mut self) -> bool {
        self.parser.hint_byte_sequence()
    }

    fn hint_remaining_byte_sequence(&mut self) -> bool {
        self.parser.hint_remaining_byte_sequence()
    }

    fn hint_array(&mut self, length: usize) {
        self.parser.hint_array(length);
    }

    fn hint_option(&mut self) {
        self.parser.hint_option();
    }

    fn hint_map(&mut self) {
        self.parser.hint_map();
    }

    fn hint_dynamic_value(&mut self) {
        self.parser.hint_dynamic_value();
    }

    fn hint_enum(&mut self, variants: &[EnumVariantHint]) {
        self.parser.hint_enum(variants);
    }

    fn hint_opaque_scalar(&mut self, name: &'static str, shape: &'static Shape) -> bool {
        self.parser.hint_opaque_scalar(name, shape)
    }
}
