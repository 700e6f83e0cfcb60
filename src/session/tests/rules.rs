//! What a peer must not do, and what becomes of it: each rule broken once.

use super::*;
use crate::link::Corrupt;

#[test]
fn each_broken_rule_ends_the_session_and_is_named() {
    let call = |id| frame(Kind::Call, id, b"x");
    assert_eq!(broken([call(1)]), Rule::BindingFirst);
    assert_eq!(broken([bind(), call(2)]), Rule::RequestParity);
    assert_eq!(broken([bind(), call(0)]), Rule::RequestParity);
    assert_eq!(broken([bind(), call(3), call(3)]), Rule::RequestOrder);
    assert_eq!(broken([bind(), call(3), call(1)]), Rule::RequestOrder);
    assert_eq!(broken(std::iter::once(bind()).chain((0..65).map(|at| call(2 * at + 1)))), Rule::RequestLimit);
    assert_eq!(broken([frame(Kind::Response, 4, b"")]), Rule::AnswerToNothing);
    assert_eq!(broken([frame(Kind::Response, 1, b"")]), Rule::AnswerToNothing);
    assert_eq!(broken([frame(Kind::Failure, 2, &[99])]), Rule::FailureForm);
    assert_eq!(broken([frame(Kind::Cancel, 1, b"")]), Rule::CancelOfNothing);
    assert_eq!(broken([frame(Kind::Bind, 0, b"short")]), Rule::BindingForm);
    assert_eq!(broken([bind(), bind()]), Rule::BindingForm);
    let options = flagged(Flags::OPTIONS, frame(Kind::Call, 1, &[9, 0, 0, 0, 1]));
    assert_eq!(broken([bind(), options]), Rule::OptionsForm);
    assert_eq!(broken([frame(Kind::Goodbye, 0, &[])]), Rule::GoodbyeForm);
    assert_eq!(broken([frame(Kind::Goodbye, 0, &[0]), frame(Kind::Goodbye, 0, &[0])]), Rule::GoodbyeForm);
    assert_eq!(broken([bind(), frame(Kind::Goodbye, 0, &[0]), call(1)]), Rule::CallAfterGoodbye);
    for kind in [Kind::Hello, Kind::Welcome, Kind::Confirm, Kind::Refuse] {
        assert_eq!(broken([frame(kind, 0, &[])]), Rule::HandshakeOrder);
    }
    assert_eq!(broken([flagged(Flags::MORE, frame(Kind::Credit, 1, &[0; 8]))]), Rule::Flags);
    for kind in [Kind::Ping, Kind::Pong] {
        assert_eq!(broken([frame(kind, 0, &[0; 7])]), Rule::PingForm);
        assert_eq!(broken([frame(kind, 0, &[0; 9])]), Rule::PingForm);
    }
}

#[test]
fn a_request_of_which_not_all_has_come_is_not_cancelled() {
    let first = flagged(Flags::MORE, frame(Kind::Call, 1, &[&6_u64.to_le_bytes()[..], b"abc"].concat()));
    assert_eq!(broken([bind(), first, frame(Kind::Cancel, 1, b"")]), Rule::CancelOfNothing);
}

#[test]
fn channels_are_declared_in_order_and_within_the_limit() {
    let call = |channels: &[u64]| {
        let channels: Vec<_> = channels.iter().map(|id| declared(*id, Flow::Out)).collect();
        declaring(1, &channels)
    };
    for wrong in [[2].as_slice(), &[0], &[3, 1], &[1, 1]] {
        assert_eq!(broken([bind(), call(wrong)]), Rule::ChannelOrder);
    }
    assert_eq!(broken([bind(), call(&[5]), declaring(3, &[declared(3, Flow::In)])]), Rule::ChannelOrder);
    let limits = Limits { channels: 2, ..Limits::default() };
    assert_eq!(broken_with(limits, [bind(), call(&[1, 3, 5])]), Rule::ChannelLimit);
    // Of a message that breaks a rule no channel is left.
    for frames in [vec![bind(), call(&[1, 3, 5])], vec![call(&[1])]] {
        let [_, mut acceptor] = open_with(limits);
        frames.into_iter().for_each(|frame| acceptor.feed(frame));
        assert!(acceptor.broken().is_some());
        assert_eq!(acceptor.session.held(), 0);
    }
    for kind in [Kind::Item, Kind::End, Kind::Reset, Kind::Credit, Kind::Starved] {
        for id in [0, 1, 2, 4] {
            assert_eq!(broken([frame(kind, id, &[0; 8])]), Rule::ChannelOrder);
        }
    }
}

#[test]
fn a_channel_has_a_cell_of_its_declarer_s_and_its_receiver_says_the_window() {
    let shape = Shape { cells: 4, ..Shape::WIDE };
    for (index, fits) in [(0, true), (2, true), (1, false), (3, false), (4, false)] {
        let call = declaring(1, &[with_cell(index, declared(1, Flow::Out))]);
        if fits {
            let [_, mut acceptor] = open_on(shape, Limits::default());
            [bind(), call].into_iter().for_each(|frame| acceptor.feed(frame));
            assert_eq!(acceptor.broken(), None);
        } else {
            assert_eq!(broken_at(open_on(shape, Limits::default()), [bind(), call]), Rule::ChannelForm);
        }
    }
    assert_eq!(broken([bind(), declaring(1, &[with_cell(0, declared(1, Flow::Out))])]), Rule::ChannelForm);
    let larger = |flow| Declaration { window: Limits::default().window + 1, ..declared(1, flow) };
    assert_eq!(broken([bind(), declaring(1, &[larger(Flow::Out)])]), Rule::ChannelForm);
    let [_, mut acceptor] = open();
    [bind(), declaring(1, &[larger(Flow::In)])].into_iter().for_each(|frame| acceptor.feed(frame));
    assert_eq!(acceptor.broken(), None);
}

#[test]
fn a_channel_s_frames_are_well_formed_and_from_the_right_side() {
    let after = |flow, frame| broken([bind(), declaring(1, &[declared(1, flow)]), frame]);
    for kind in [Kind::Item, Kind::End, Kind::Starved] {
        assert_eq!(after(Flow::In, frame(kind, 1, &[0; 8])), Rule::ChannelForm);
    }
    assert_eq!(after(Flow::Out, frame(Kind::Credit, 1, &[0; 8])), Rule::ChannelForm);
    for length in [0, 7, 9] {
        assert_eq!(after(Flow::In, frame(Kind::Credit, 1, &vec![0; length])), Rule::ChannelForm);
        assert_eq!(after(Flow::Out, frame(Kind::Starved, 1, &vec![0; length])), Rule::ChannelForm);
    }
    for end in [&[][..], &[1, 0], &[0, 0, 0]] {
        assert_eq!(after(Flow::Out, frame(Kind::End, 1, end)), Rule::ChannelForm);
    }
    let items = |count, flags, payload: &[u8]| {
        let mut items = flagged(flags, frame(Kind::Item, 1, payload));
        items.header.method = count;
        after(Flow::Out, items)
    };
    assert_eq!(items(0, Flags::NONE, b""), Rule::ItemForm);
    assert_eq!(items(2, Flags::NONE, b"12345678"), Rule::ItemForm);
    assert_eq!(items(0, Flags::BATCH, b""), Rule::ItemForm);
    assert_eq!(items(2, Flags::BATCH, &[0; 7]), Rule::ItemForm);
    assert_eq!(items(1 << 32, Flags::BATCH, &[0; 8]), Rule::ItemForm);
}

#[test]
fn no_item_comes_without_credit() {
    let limits = Limits { window: 100, ..Limits::default() };
    let call = || declaring(1, &[Declaration { window: 100, ..declared(1, Flow::Out) }]);
    let item = |length| frame(Kind::Item, 1, &vec![7; length]);
    assert_eq!(broken_with(limits, [bind(), call(), item(36), item(1)]), Rule::CreditOverrun);
    assert_eq!(broken_with(limits, [bind(), call(), item(68), item(0)]), Rule::CreditOverrun);
    assert_eq!(broken_with(limits, [bind(), call(), item(500), item(0)]), Rule::CreditOverrun);
    let [_, mut acceptor] = open_with(limits);
    [bind(), call(), item(4), item(4), item(0)].into_iter().for_each(|frame| acceptor.feed(frame));
    assert_eq!(acceptor.broken(), Some(Rule::CreditOverrun), "each item costs 32 bytes more");
}

#[test]
fn connections_are_opened_in_order_and_within_the_limit() {
    let open = |id| on(id, opening(SETTINGS, &Metadata::new()));
    assert_eq!(broken([open(2)]), Rule::ConnectionOrder);
    assert_eq!(broken([open(0)]), Rule::ConnectionOrder);
    assert_eq!(broken([open(3), open(3)]), Rule::ConnectionOrder);
    assert_eq!(broken([open(3), open(1)]), Rule::ConnectionOrder);
    assert_eq!(broken([open(3), on(3, frame(Kind::Close, 0, b"")), open(3)]), Rule::ConnectionOrder);
    let limits = Limits { connections: 2, ..Limits::default() };
    assert_eq!(broken_with(limits, [open(1), open(3), open(5)]), Rule::ConnectionLimit);
}

#[test]
fn what_opens_and_ends_connections_is_well_formed_and_from_the_right_side() {
    let open = |settings| on(1, opening(settings, &Metadata::new()));
    assert_eq!(broken([open(ConnectionSettings { requests: 0, ..SETTINGS })]), Rule::ConnectionForm);
    assert_eq!(broken([open(ConnectionSettings { window: 0, ..SETTINGS })]), Rule::ConnectionForm);
    let whole = opening(SETTINGS, &Metadata::new()).payload;
    for length in 0..whole.len() {
        assert_eq!(broken([on(1, frame(Kind::Open, 0, &whole[..length]))]), Rule::ConnectionForm);
    }
    assert_eq!(broken([on(1, frame(Kind::Open, 0, &[&whole[..], b"x"].concat()))]), Rule::ConnectionForm);
    assert_eq!(broken([frame(Kind::Close, 0, b"")]), Rule::ConnectionForm);
    let asked = || {
        let mut peers = super::open();
        let peer = &mut peers[1];
        peer.session.open_connection("it", &Metadata::new(), None, nothing(), &mut peer.out).unwrap();
        peers
    };
    for kind in [Kind::Accept, Kind::Reject] {
        assert_eq!(
            broken([open(SETTINGS), on(1, frame(kind, 0, b""))]),
            Rule::ConnectionForm,
            "not its peer's"
        );
        assert_eq!(broken_at(asked(), [on(2, frame(kind, 0, b""))]), Rule::ConnectionForm);
        let more = [&whole[..12], &[0, 0], b"x"].concat();
        assert_eq!(broken_at(asked(), [on(2, frame(kind, 0, &more))]), Rule::ConnectionForm);
    }
}

#[test]
fn nothing_comes_on_a_connection_that_is_not_open() {
    let open = || on(1, opening(SETTINGS, &Metadata::new()));
    let part = flagged(Flags::MORE, frame(Kind::Call, 1, &[&6_u64.to_le_bytes()[..], b"abc"].concat()));
    let call = || frame(Kind::Call, 1, b"");
    for frame in [call(), bind(), frame(Kind::Item, 1, b""), frame(Kind::Close, 0, b"")] {
        for connection in [1, 2, 3] {
            let frame = on(connection, Frame::new(frame.header, Buffer::copy_of(&frame.payload)));
            assert_eq!(broken([frame]), Rule::Connection);
        }
    }
    assert_eq!(broken([open(), on(1, call())]), Rule::Connection);
    assert_eq!(broken([open(), on(1, part)]), Rule::Connection, "its first fragment is enough");
    for verdict in [Kind::Accept, Kind::Reject] {
        assert_eq!(broken([on(2, frame(verdict, 0, b""))]), Rule::Connection, "it was not asked for");
    }
    let mut peers = super::open();
    let peer = &mut peers[1];
    peer.session.open_connection("it", &Metadata::new(), None, nothing(), &mut peer.out).unwrap();
    assert_eq!(broken_at(peers, [on(2, call())]), Rule::Connection, "it has not been accepted");
}

#[test]
fn fragments_that_do_not_add_up_end_the_session() {
    let part = |id, flags, payload: &[u8]| flagged(flags, frame(Kind::Call, id, payload));
    let size = |size: u64| size.to_le_bytes();
    let first = |total: u64| part(1, Flags::MORE, &[&size(total)[..], b"abc"].concat());
    assert_eq!(broken([part(1, Flags::MORE, b"abc")]), Rule::FragmentSize);
    assert_eq!(broken([first(3)]), Rule::FragmentSize);
    assert_eq!(broken([first(u64::MAX)]), Rule::PayloadLimit);
    assert_eq!(broken([first(6), part(1, Flags::NONE, b"ab")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(1, Flags::NONE, b"abcd")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(1, Flags::MORE, b"")]), Rule::FragmentSize);
    assert_eq!(broken([first(6), part(3, Flags::MORE, &[&size(9)[..], b"x"].concat())]), Rule::FragmentOrder);
    assert_eq!(broken([first(6), part(1, Flags::OPTIONS, b"abc")]), Rule::FragmentOrder);
    let limits = Limits { payload: Limits::LEAST_PAYLOAD, ..Limits::default() };
    assert_eq!(broken_with(limits, [bind(), frame(Kind::Call, 1, &[0; 1025])]), Rule::PayloadLimit);
}

#[test]
fn metadata_beyond_the_agreed_limit_ends_the_session() {
    let limits = Limits { metadata_entries: 1, metadata_size: 100, ..Limits::default() };
    let settings = [4_u32.to_le_bytes(), 100_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat();
    for metadata in [metadata(2, 0), metadata(1, 100)] {
        let bytes = options(&metadata, &[]);
        let call = flagged(Flags::OPTIONS, frame(Kind::Call, 1, &bytes));
        assert_eq!(broken_with(limits, [bind(), call]), Rule::MetadataLimit);
        let response = flagged(Flags::OPTIONS, frame(Kind::Response, 2, &bytes));
        assert_eq!(broken_with(limits, [response]), Rule::MetadataLimit);
        assert_eq!(broken_with(limits, [on(1, opening(SETTINGS, &metadata))]), Rule::MetadataLimit);
        let channel = declaring(1, &[Declaration { window: 9, ..declared(1, Flow::Out) }]);
        let end = frame(Kind::End, 1, &encoded(&metadata));
        let limits = Limits { window: 9, ..limits };
        assert_eq!(broken_with(limits, [bind(), channel, end]), Rule::MetadataLimit);
        for (kind, before) in [(Kind::Accept, settings.as_slice()), (Kind::Reject, &[1, 0, 0])] {
            let mut peers = open_with(limits);
            let peer = &mut peers[1];
            peer.session.open_connection("it", &Metadata::new(), None, nothing(), &mut peer.out).unwrap();
            let verdict = on(2, frame(kind, 0, &[before, &encoded(&metadata)].concat()));
            assert_eq!(broken_at(peers, [verdict]), Rule::MetadataLimit);
        }
    }
}

#[test]
fn what_the_link_finds_is_a_broken_rule_too() {
    let mut peers = open();
    let corrupt = Corrupt::Position { position: 9, from: 0, to: 8 };
    let peer = &mut peers[0];
    peer.session.corrupt(corrupt, &mut peer.out);
    let expected = CloseReason::Protocol(ProtocolError { rule: Rule::RingPosition, by: Side::Peer });
    assert_eq!(peers[0].session.close_reason(), Some(&expected));
}
