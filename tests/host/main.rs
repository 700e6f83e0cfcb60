//! Hosts and cells as real processes. This binary executes itself as its cells, and as a host that is to be killed.

mod calls;
mod cells;
mod death;
mod events;
mod handles;
mod orphans;
mod probe;
mod proxied;
mod restart;
mod runner;
mod shutdown;
mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(cells::HOLDER) => return cells::hold(),
        Some(orphans::MIDDLE) => return orphans::middle(),
        Some(proxied::PROXY) => return proxied::host(),
        _ if transom::cell::is_cell() => return cells::main(),
        _ => {}
    }
    events::collect();
    runner::run(&runner::tests![
        start::a_cell_is_ready_and_knows_its_host,
        start::a_program_that_does_not_exist,
        start::a_program_that_ends_at_once,
        start::a_program_that_never_attaches,
        start::a_wrong_ticket,
        start::a_start_that_is_dropped_leaves_nothing,
        start::no_cell_without_a_host,
        start::a_host_that_is_shut_down_starts_nothing,
        calls::both_directions_at_once,
        calls::without_shared_memory,
        calls::with_a_cell_that_has_no_runtime,
        calls::output_comes_out_as_events,
        death::what_was_answered_is_delivered_and_the_rest_ends,
        death::the_same_without_shared_memory,
        death::killed_from_outside_with_calls_in_flight,
        death::a_frozen_cell_is_given_up,
        death::noticed_though_the_lifeline_stays_open,
        death::a_cell_that_closes_its_session_and_lives_on,
        death::nothing_is_left_of_a_killed_cell,
        restart::always_until_the_budget_is_used_up,
        restart::on_demand_only,
        restart::never,
        restart::a_restart_that_fails_counts,
        restart::one_that_is_waited_for_can_be_shut_down,
        shutdown::a_call_in_flight_finishes,
        shutdown::a_call_that_never_ends_is_cut_off,
        shutdown::time_to_clean_up,
        shutdown::a_cell_that_lingers_is_asked_to_end,
        shutdown::a_stubborn_cell_is_killed,
        shutdown::all_cells_of_a_host_at_once,
        handles::a_cell_lives_as_long_as_its_host,
        handles::a_cell_lives_as_long_as_its_handle,
        handles::a_runtime_that_ends_takes_its_cells_along,
        proxied::over_a_socket,
        proxied::over_tcp,
        proxied::one_after_the_other,
        orphans::cells_go_with_their_host,
        orphans::cells_go_with_their_host_without_shared_memory,
    ])
}
