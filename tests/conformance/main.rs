//! What holds on every link alike: each test runs over shared memory, Unix sockets and within a process, with the same
//! session on top. Tests bear the names of what they show.

mod connections;
mod proxies;
mod scene;

/// Makes a test of each function for each link.
macro_rules! on_every_link {
    ($($module:ident::{$($name:ident),* $(,)?})*) => {
        on_every_link!(@link shm Shm $($module::{$($name),*})*);
        on_every_link!(@link unix Unix $($module::{$($name),*})*);
        on_every_link!(@link mem Mem $($module::{$($name),*})*);
    };
    (@link $link:ident $kind:ident $($module:ident::{$($name:ident),*})*) => {
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
}
