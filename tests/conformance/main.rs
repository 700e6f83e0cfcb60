//! What holds on every link alike: each test runs over shared memory, Unix sockets, TCP and within a process, with the same
//! session on top. Tests bear the names of what they show.

// The tests are named by a macro alone.
#![allow(unreachable_pub)]

mod channels;
mod connections;
mod deadlines;
mod descriptor_items;
mod descriptor_proxies;
mod descriptors;
mod endings;
mod lines;
mod metadata;
mod nesting;
mod passing;
mod proxies;
mod raw;
mod refusals;
mod scene;
mod stats;
mod streams;
mod threads;
mod tracing;
mod tunnels;

/// Makes a test of each function for each link.
macro_rules! on_every_link {
    ($($module:ident::{$($name:ident),* $(,)?})*) => {
        on_every_link!(@link shm Shm $($module::{$($name),*})*);
        on_every_link!(@link unix Unix $($module::{$($name),*})*);
        on_every_link!(@link tcp Tcp $($module::{$($name),*})*);
        on_every_link!(@link mem Mem $($module::{$($name),*})*);
    };
    (@link $link:ident $kind:ident $($module:ident::{$($name:ident),* $(,)?})*) => {
        mod $link {
            $(mod $module {
                $(#[test]
                fn $name() {
                    crate::scene::run(crate::$module::$name(crate::scene::Link::$kind));
                })*
            })*
        }
    };
}

/// Makes a test of each function for each link that carries descriptors.
macro_rules! on_links_with_descriptors {
    ($($tests:tt)*) => {
        on_every_link!(@link shm Shm $($tests)*);
        on_every_link!(@link unix Unix $($tests)*);
        on_every_link!(@link mem Mem $($tests)*);
    };
}

mod passed {
    on_links_with_descriptors! {
        descriptors::{
            l7_a_handler_reads_from_what_its_caller_has_passed,
            l7_descriptors_come_in_their_order,
            l7_a_result_brings_descriptors,
            l7_descriptors_are_found_wherever_they_are,
            l7_what_was_passed_is_passed_on,
            l7_they_come_with_calls_and_results_in_fragments,
            l7_no_more_go_with_a_message_than_may,
            l7_who_sends_keeps_nothing,
            l7_whatever_becomes_of_a_call_none_stay_open,
            l7_many_callers_wait_for_room_for_theirs,
            l7_threads_pass_descriptors,
        }
        descriptor_items::{
            l7_items_bring_descriptors_to_threads_and_back,
            l7_items_of_any_size_are_passed_on_in_order,
            l7_descriptors_take_credit,
            l7_a_sink_and_a_stream_carry_descriptors,
            l7_items_that_nobody_takes_are_closed,
            l7_an_item_with_too_many_harms_nothing,
            l7_no_more_wait_here_than_may,
        }
        descriptor_proxies::{
            l7_a_proxy_passes_descriptors_on,
            l7_a_proxy_passes_items_with_descriptors_on,
            l7_a_proxy_tells_that_the_far_side_takes_none,
        }
    }
    on_every_link!(@link tcp Tcp
        descriptors::{l7_none_go_over_tcp}
        descriptor_items::{l7_items_without_descriptors_go_over_tcp});
}

on_every_link! {
    connections::{
        c1_both_sides_serve_on_the_root,
        c2_a_connection_is_opened_with_metadata_and_accepted_with_metadata,
        c2_a_connection_is_rejected_with_a_reason,
        c3_without_an_acceptor_it_is_rejected,
        c3_undecided_it_is_rejected,
        c3_the_acceptor_calls_the_opener,
        c3_the_acceptor_decides_later,
        c3_what_the_handler_sends_comes_after_the_verdict,
        c4_the_acceptor_sees_who_asks,
        c5_a_router_serves_by_name,
        c6_calls_on_two_connections_have_ids_of_their_own,
        c7_either_side_closes,
        c7_calls_in_flight_end_with_the_connection,
        c7_the_root_cannot_be_closed,
        c8_dropping_the_last_client_closes_what_this_side_opened,
        c8_the_root_lives_as_long_as_the_session,
        c9_who_waits_learns_of_the_end,
        c10_each_connection_has_settings_of_its_own,
        s7_a_goodbye_rejects_new_connections,
        s8_nothing_is_left_of_closed_connections,
    }
    refusals::{
        h2_a_policy_is_told_who_comes,
        h2_a_server_refuses_for_a_reason,
        h2_a_client_refuses_for_a_reason,
        h2_a_slow_policy_holds_up_nobody_else,
        h2_who_leaves_is_not_decided_about_any_more,
        h2_a_policy_that_panics_costs_its_peer_alone,
        h2_a_server_that_shuts_down_refuses_newcomers,
        h2_a_server_that_shuts_down_waits_no_longer_than_was_said,
        h2_a_reconnecting_client_waits_for_what_may_pass,
        h2_threads_have_policies_too,
        h2_threads_shut_down_too,
    }
    stats::{
        s5_calls_are_counted_by_how_they_end,
        s5_calls_of_either_side_are_counted,
        s5_what_has_gone_one_way_has_come_the_other,
        s5_items_are_counted,
        s5_what_is_open_is_counted_while_it_is,
        s5_who_sleeps_and_is_woken_is_counted,
        s5_threads_count_too,
    }
    passing::{
        x2_channels_in_arguments_and_in_results_are_passed_on,
        x2_the_end_of_a_channel_is_passed_on_with_what_it_says,
        x2_a_reset_reaches_the_other_end,
        x4_a_receiver_that_waits_stops_its_sender_within_the_windows,
        x4_a_window_of_the_receivers_own_counts_all_the_way,
        x4_a_channel_that_nobody_reads_holds_up_no_other,
        x4_an_item_never_overtakes_its_call,
        x4_items_come_before_the_answer_that_followed_them,
        x4_an_answer_does_not_wait_for_who_does_not_read,
        x4_runs_of_items_are_cut_to_what_the_far_side_takes,
        x2_the_death_of_either_side_ends_the_channels_of_the_other,
        x2_a_cancelled_call_ends_its_channels,
        s8_nothing_is_left_of_channels_that_were_passed_on,
    }
    deadlines::{
        r8_calls_of_a_handler_have_the_time_that_is_left,
        r8_calls_within_a_call_have_the_time_that_is_left,
        r8_a_call_back_on_a_virtual_connection_has_the_time_that_is_left,
        r8_what_a_handler_has_begun_ends_with_its_time,
        r8_a_client_that_is_kept_is_not_bound_by_the_past,
        r8_deadlines_go_through_proxies,
        r8_an_idle_session_ends,
        k1_a_peer_that_answers_is_alive,
    }
    metadata::{
        r9_a_handler_attaches_metadata_to_its_result,
        r9_nothing_goes_along_with_a_failure,
        r9_too_much_metadata_is_an_error,
        r9_metadata_of_a_result_goes_through_a_proxy,
        r9_threads_get_what_goes_along_with_results,
        r10_a_context_tells_what_is_known_of_the_call,
        r10_those_who_work_on_a_call_share_what_they_like,
        r14_a_call_is_configured_before_it_is_made,
    }
    proxies::{
        x1_a_connection_is_relayed_both_ways,
        x1_a_relayed_connection_ends_with_either_side,
        x1_a_rejection_is_passed_on,
        x2_calls_are_forwarded_with_their_errors,
        x2_metadata_is_forwarded_but_for_what_is_not_to_be,
        x2_a_cancellation_and_a_deadline_go_along,
        x2_the_death_of_the_upstream_is_told,
        x3_before_it_is_set_calls_are_refused,
        x5_types_are_compared_end_to_end,
    }
    channels::{
        n1_items_go_to_the_handler_and_back,
        n1_a_result_has_channels_of_either_kind,
        n6_runs_of_items_arrive_whole_whatever_the_window,
        n4_a_sender_waits_for_its_receiver,
        n4_a_window_is_the_receivers_own,
        n4_many_tasks_send_on_one_channel,
        n7_an_end_says_what_its_sender_said,
        n13_streams_and_sinks_do_the_same,
        n9_a_send_that_is_dropped_takes_no_credit,
        n3_items_that_a_handler_sent_come_before_its_answer,
        n4_a_channel_that_nobody_reads_holds_up_no_other,
        n9_an_item_that_does_not_decode_is_skipped,
        n9_an_item_that_is_too_large_harms_nothing,
    }
    endings::{
        n8_a_dropped_receiver_stops_its_sender,
        n8_a_sender_that_gives_up_says_so,
        n11_a_session_that_ends_ends_its_channels,
        n8_a_call_that_comes_to_nothing_ends_its_channels,
        n7_an_end_that_was_left_before_the_other_was_passed_on_ends_it_there,
        n12_an_end_is_passed_on_once,
        n11_a_channel_ends_with_its_connection,
        n11_a_channel_keeps_its_connection_open,
        n12_an_end_goes_to_another_session,
        s8_nothing_is_left_of_channels_that_are_over,
    }
    nesting::{
        n1_every_end_of_an_argument_is_the_one_that_was_put_there,
        n1_ends_in_a_tree_are_those_of_its_branches,
        n1_ends_in_a_result_outlive_the_call,
    }
    raw::{
        r12_a_raw_call_is_made_with_bytes,
        r12_raw_calls_fail_as_others_do,
        r12_raw_calls_have_channels,
        r12_raw_calls_go_through_proxies,
        r12_threads_make_raw_calls,
        r12_a_raw_server_answers_whatever_is_called,
        r12_a_raw_server_stands_behind_others,
        r12_what_a_raw_handler_cannot_send_is_an_error,
        c3_a_connection_is_taken_raw,
        c3_an_opener_serves_raw,
    }
    tracing::{
        d3_a_call_and_its_handler_are_one_trace,
        d3_calls_within_a_call_are_part_of_its_trace,
        d3_a_trace_goes_through_a_proxy,
        d3_spans_tell_how_a_call_ended,
        d3_no_call_fails_because_it_is_traced,
        d3_a_trace_that_began_elsewhere_goes_on,
        d3_where_nobody_wants_spans_a_trace_is_passed_on_as_it_is,
        d3_calls_of_threads_are_spans_too,
        d3_frames_are_told_of_to_whom_wants_them,
    }
    threads::{
        n13_threads_send_and_receive,
        n13_threads_wait_for_credit,
        n13_threads_learn_how_a_channel_ends,
    }
    tunnels::{
        n14_sockets_are_carried_both_ways_at_once,
        n14_half_close_is_kept_both_ways,
        n14_a_tunnel_comes_in_a_result,
        n14_a_tunnel_is_read_and_written_like_a_socket,
        n14_pieces_without_bytes_are_nothing,
        n14_one_direction_is_carried_alone,
        n14_who_does_not_read_stops_who_writes,
        n14_a_stream_that_fails_resets_the_tunnel,
        n14_a_socket_that_is_reset_breaks_the_tunnel_off,
        n14_a_pump_that_is_dropped_is_not_the_end_of_its_stream,
        n14_a_tunnel_ends_with_its_session,
        n14_a_writer_that_takes_nothing_holds_nobody_up,
        n14_an_end_that_was_left_ends_the_stream,
    }
}
