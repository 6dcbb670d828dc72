//! From the list of cases to tests: [`conformance!`] makes a `#[test]` of each, and [`run`] runs
//! one by its name. The list is written once, so that a case cannot be forgotten in one place or
//! for one storage.

use std::sync::Arc;

use crate::bench::Bench;
use crate::{Backend, cases, random_operations};

/// Makes one `#[test]` per case of the suite, in one module per topic.
///
/// The expression makes the [`Backend`]; it is evaluated anew for each case inside a Tokio runtime,
/// and may `.await`.
///
/// The cases do not depend on each other or on their order, and may run side by side: each has a
/// storage of its own.
#[macro_export]
macro_rules! conformance {
    ($backend:expr) => {
        $crate::__cases! { [tests $backend] }
    };
}

/// The list of all cases, handed to [`__expand!`] with what to make of it.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($mode:tt) => {
        $crate::__expand! { $mode
            content_filters {
                a_filter_is_read_back_as_it_was_saved
            }
            credentials {
                credentials_are_rewritten_unseen
            }
            endpoints {
                a_saved_endpoint_is_read_back_whole
                an_unknown_endpoint_is_none
                saving_again_replaces_the_definition
                a_deleted_endpoint_leaves_a_tombstone
                deleting_what_is_not_there_is_false
                deleting_cancels_what_waits_and_leaves_the_rest
                saving_a_deleted_endpoint_revives_it_with_a_fresh_gate
                revisions_grow_with_every_change
                changes_are_listed_in_pages
                only_later_changes_are_listed
                resuming_ends_a_pause_and_a_hold
                disabling_changes_the_definition
                an_unverified_endpoint_stays_so_until_it_is_saved_enabled
                enabling_clears_everything_but_a_pause
                a_hold_never_moves_back
                the_limit_of_leases_is_set_and_cleared
                failing_since_keeps_the_first_time_until_recovered
                saving_keeps_the_gate_but_for_what_enabled_lifts
                gates_of_unknown_endpoints_are_passed_over
                gates_of_one_call_are_changed_in_order
                a_definition_is_saved_over_what_is_expected
                a_gate_does_not_move_the_definition_revision
                only_one_of_many_registers_an_id
                secrets_are_saved_alone
                another_tenant_begins_a_new_incarnation
            }
            incarnations {
                a_delivery_for_an_earlier_incarnation_is_not_made
                what_waits_of_an_earlier_tenant_is_cancelled
                what_is_leased_of_an_earlier_incarnation_does_not_wait_again
                what_a_dead_worker_held_of_an_earlier_incarnation_is_cancelled
                dead_letters_of_an_earlier_incarnation_are_not_replayed
                many_that_wait_are_cancelled_behind_new_ones
                a_delivery_remembers_that_it_was_sent_by_name
                a_settlement_cancels_with_its_reason
                each_cancellation_has_its_reason
            }
            enqueue {
                an_event_makes_a_delivery_for_each_endpoint
                each_event_gets_its_answer_in_order
                a_missing_endpoint_does_not_fail_the_others
                an_event_without_deliveries_has_no_endpoint
                a_deleted_endpoint_takes_nothing
                a_disabled_endpoint_takes_what_it_is_given
                no_events_are_no_work
                a_key_gives_the_first_answer_back
                a_key_is_kept_when_nothing_matched
                each_tenant_has_its_own_keys
                a_key_is_forgotten_after_a_day
                the_same_call_twice_stores_once
                a_delayed_event_waits_for_its_time
                a_leased_delivery_is_the_workers_at_once
                a_released_lease_of_an_enqueue_gets_a_new_token
                a_lease_without_a_worker_is_ready
                everything_of_an_event_is_kept
                a_trace_and_an_ordering_key_are_kept
                payloads_are_kept_to_the_byte
                a_payload_of_256_kib_is_kept
                a_thousand_events_are_one_call
                long_names_are_kept
                a_tenant_may_be_any_text
                what_is_made_again_is_listed_once
                nothing_more_is_made_of_an_erased_event
                a_worker_may_have_any_name
            }
            fan_outs {
                parts_make_one_event
                parts_that_are_made_again_store_nothing_twice
                a_key_names_what_all_parts_made
                a_key_that_was_used_begins_nothing
                everything_that_is_needed_to_go_on_is_kept
                what_is_still_under_way_is_left_alone
                a_fan_out_never_goes_back
                a_part_without_its_fan_out_stores_nothing
                erasing_an_event_ends_its_fan_out
                a_change_of_others_leaves_a_fan_out
                a_beat_tells_of_a_fan_out
                parts_stand_in_their_orders
            }
            claim {
                higher_priorities_go_first
                an_old_low_goes_before_a_new_critical
                one_priority_goes_in_order_of_sending
                what_was_sent_in_one_call_goes_in_its_order
                every_endpoint_has_its_turn
                a_claim_takes_at_most_so_many_of_an_endpoint
                room_replaces_the_usual_number
                an_endpoint_that_batches_gives_whole_batches
                a_claim_takes_at_most_its_limit
                an_empty_storage_gives_nothing
                the_next_due_time_is_never_too_late
                what_became_due_is_ordered_by_priority
                a_claimed_delivery_names_its_lease
                what_a_worker_holds_is_told_in_pages
                tokens_only_grow
                what_is_leased_is_nobody_elses
                many_claimers_share_everything_once
                rates_are_kept_where_the_storage_limits_them
            }
            batches {
                a_batch_comes_once_its_number_is_ready
                a_batch_comes_once_its_wait_is_over
                the_wait_of_a_batch_begins_when_the_first_is_due
                what_is_given_back_has_waited_since_it_is_due
                what_is_left_over_of_whole_batches_waits
                a_changed_batch_binds_the_next_claim
                a_removed_batch_lets_go_and_a_new_one_holds
                what_left_the_queue_does_not_fill_a_batch
                a_batch_whose_oldest_left_is_due_by_the_next_one
                a_suspect_comes_without_a_batch_and_fills_none
                filling_batches_do_not_hide_others
                a_batch_takes_one_of_each_order
            }
            gates {
                a_held_endpoint_waits_for_the_end_of_its_hold
                a_hold_set_later_counts_too
                a_paused_endpoint_gives_nothing
                a_disabled_endpoint_gives_nothing
                the_limit_of_leases_binds_all_workers
                closed_endpoints_do_not_hide_open_ones
                a_reset_clears_what_holds_an_endpoint_back
                what_was_decided_in_an_earlier_epoch_is_void
                answers_disable_nothing_that_was_disabled_by_hand
            }
            settle {
                delivered_ends_it
                a_retry_waits_for_its_time
                a_retry_that_is_due_is_ready
                a_retry_keeps_its_place
                dead_keeps_its_reason
                a_release_costs_no_attempt
                a_release_may_be_for_later
                an_old_token_changes_nothing
                only_the_holder_settles
                settling_twice_changes_nothing_more
                the_second_of_two_in_one_call_is_stale
                an_unknown_delivery_is_stale
                attempts_are_logged_whole
                an_attempt_without_an_answer_is_logged
                a_late_attempt_is_logged_as_ambiguous
                the_deliveries_of_a_deleted_endpoint_do_not_wait_again
                a_thousand_outcomes_are_one_call
                workers_settle_side_by_side
            }
            beat {
                a_beat_tells_the_time_it_is_given
                the_storage_has_a_clock_of_its_own
                a_beat_tells_of_the_one_before
                a_beat_tells_the_revision
                a_silent_workers_deliveries_come_back
                nothing_comes_back_before_its_time
                one_beat_alone_takes_nothing_back
                a_beat_without_a_worker_only_reads
                a_worker_that_beats_keeps_its_leases
                a_slow_worker_that_nobody_gave_up_goes_on
                a_worker_that_was_given_up_is_told_once
                the_third_crash_is_poison
                what_comes_back_to_a_deleted_endpoint_is_cancelled
                many_leases_come_back_at_once
            }
            poison_suspects {
                suspects_come_as_many_as_are_asked_for
                suspects_do_not_hide_those_behind_them
                suspects_pass_the_gates_of_their_endpoint
                a_suspect_keeps_its_place_among_the_others
                a_suspect_is_the_next_before_all_that_came_later
                a_suspect_behind_a_backlog_holds_no_other_one_back
                a_suspect_that_is_retried_or_replayed_is_as_it_was
                suspects_of_a_deleted_endpoint_are_cancelled
            }
            deliveries {
                the_newest_is_listed_first
                each_filter_alone_and_all_together
                each_state_is_listed
                pages_follow_each_other
                pages_hold_what_is_in_all_states
                pages_hold_all_of_an_event
                pages_stand_while_things_change
                nothing_is_listed_for_unknown_ids
                attempts_are_read_when_asked_for
            }
            change {
                a_replay_starts_a_new_series
                a_replay_goes_behind_what_waits
                only_dead_ones_are_replayed
                nothing_is_replayed_to_a_deleted_endpoint
                nothing_is_replayed_without_its_payload
                ready_and_scheduled_ones_are_cancelled
                ended_ones_are_purged
                payloads_are_erased_everywhere
                what_was_erased_does_not_wait_again
                one_event_is_erased_for_all_its_endpoints
                a_change_stops_at_its_limit
                the_page_size_of_a_query_does_not_bound_a_change
                a_change_keeps_to_its_filter
                a_cancelled_lease_is_not_possible
                a_walk_changes_what_was_there_once
                a_change_goes_from_the_newest_to_the_oldest
                a_change_before_a_time_leaves_what_changed_since
            }
            counts {
                an_empty_storage_counts_nothing
                every_step_keeps_the_sum
                what_closed_endpoints_keep_back_is_suspended
                a_hold_is_not_counted_as_held
                a_deleted_endpoints_counts_stay
            }
            sweep {
                young_things_stay
                delivered_and_cancelled_ones_go_after_their_time
                dead_letters_go_after_their_time
                the_log_goes_after_its_time
                the_log_of_what_was_delivered_can_go_before_it
                what_waits_too_long_is_dead_as_expired
                what_is_still_to_come_does_not_expire
                what_was_retried_lately_does_not_expire
                a_replay_is_young_again
                a_sweep_stops_at_its_limit
                each_retention_can_be_set
            }
            wait {
                an_enqueue_wakes
                work_that_came_before_the_wait_wakes
                a_release_wakes
                a_replay_wakes
                opening_a_gate_wakes
                a_batch_that_becomes_full_wakes
                the_end_of_a_head_wakes
            }
            events {
                an_event_is_read_back_whole
                a_payload_comes_when_it_is_asked_for
                an_event_without_deliveries_is_kept_if_it_says_so
                an_event_counts_its_deliveries_by_state
                events_are_found_by_each_filter
                events_are_listed_in_pages_from_either_end
                bad_bounds_of_a_listing_are_refused
                an_event_outlives_its_last_delivery
                the_same_event_is_kept_once
                whole_events_are_erased_with_and_without_deliveries
                the_last_erasure_takes_the_event_with_it
            }
            deliver_events {
                an_event_goes_to_an_endpoint_that_came_later
                each_delivery_gets_its_answer
                the_same_delivery_twice_is_made_once
                an_ended_delivery_is_there_until_it_is_purged
                it_takes_its_place_as_if_sent_now
                a_delayed_event_waits_for_its_time
                a_paused_endpoint_keeps_what_it_is_given
                another_incarnation_gets_it_too
                it_waits_as_long_as_what_is_sent_now
                only_one_of_many_makes_it
            }
            queries {
                several_endpoints_are_one_query_and_none_find_nothing
                several_ids_are_one_query
                types_are_found_by_pattern
                the_last_attempt_is_kept_with_its_delivery
                deliveries_are_found_by_their_last_attempt
                a_stale_attempt_is_not_the_last_one
                what_changed_in_a_time_is_found
                bad_queries_are_refused
                filters_of_attempts_leave_what_was_not_tried
                filters_of_all_kinds_match_together
            }
            resend {
                what_has_ended_goes_again
                a_resend_starts_a_new_series
                what_cannot_be_sent_is_not_sent_again
                a_walk_sends_again_once
                a_resend_is_young_again
            }
            counting {
                a_count_is_that_of_the_query
                deliveries_are_counted_in_groups
                what_was_not_tried_is_a_group_of_its_own
                the_largest_groups_come
                several_endpoints_are_counted_in_one_call
                the_oldest_ready_one_is_told
            }
            workers {
                workers_are_listed_with_their_leases
                who_only_reads_is_no_worker
            }
            keys {
                a_key_with_other_data_is_refused
                a_key_is_compared_within_a_call
                a_key_without_a_fingerprint_stands_for_anything
                a_forgotten_key_stands_for_nothing
                only_one_of_many_has_a_key
                nothing_is_kept_of_what_is_refused
            }
            definitions {
                a_definition_is_deleted_if_it_is_the_expected_one
                a_definition_has_its_times
                a_commit_tells_of_the_newest_definition
                a_commit_never_tells_of_less_than_there_was
            }
            documents {
                a_document_is_read_back
                a_document_is_changed_if_it_is_the_expected_one
                only_one_of_many_puts_what_is_absent
                an_expired_document_is_absent
                documents_are_listed_by_id
                documents_out_of_bounds_are_refused
                a_swept_documents_revision_never_comes_back
            }
            statistics {
                numbers_add_up_by_minute_and_hour
                numbers_are_those_of_the_endpoints_asked_for
                old_numbers_go
                numbers_are_added_side_by_side
            }
            orders {
                one_after_another_in_order
                a_head_that_waits_again_stays_the_head
                the_next_goes_however_the_head_ends
                a_delayed_head_holds_its_order
                orders_wait_for_themselves_alone
                a_dead_head_holds_until_it_is_replayed
                a_held_order_goes_on_without_its_dead_head
                an_expired_head_holds_nothing
                blocked_ones_expire
                a_replay_goes_to_the_end
                a_kept_event_is_delivered_at_the_end
                what_leaves_in_the_middle_moves_nobody
                a_whole_order_is_cancelled
                a_rescued_head_stays_the_head
                an_endpoint_takes_its_orders_with_it
                another_incarnation_begins_new_orders
                blocked_ones_are_counted
                none_of_an_order_is_leased_at_once
                a_call_that_is_sent_twice_stands_once
                what_is_blocked_hides_nobody
                several_heads_end_in_one_call
            }
            orders_side_by_side {
                storing_beside_settling_leaves_one_head
                cancelling_beside_sending_strands_nobody
                sending_again_beside_settling_strands_nobody
                kept_events_join_beside_new_ones
                deleting_beside_sending_leaves_nobody_waiting
                many_workers_keep_every_order
            }
            random {
                random_operations
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __expand {
    ([tests $backend:expr] $($topic:ident { $($case:ident)+ })+) => {
        $(mod $topic {
            #[allow(unused_imports, reason = "the backend may be named by its full path")]
            use super::*;

            $(#[test]
            fn $case() {
                $crate::run(
                    async { $backend },
                    concat!(stringify!($topic), "::", stringify!($case)),
                );
            })+
        })+
    };
    // `random_operations` is not a case of a bench: it makes a storage for each sequence.
    ([call $bench:ident, $name:ident] $($topic:ident { $($case:ident)+ })+) => {
        match $name {
            $($(concat!(stringify!($topic), "::", stringify!($case)) => Box::pin(cases::$topic::$case($bench)).await,)+)+
            unknown => panic!("there is no case {unknown}"),
        }
    };
}

/// Runs one case on a fresh storage.
///
/// # Panics
///
/// When the case fails.
///
/// On a runtime of its own with two threads, so that what a storage spawns can run beside the case.
/// A case that fails leaves its storage behind, undisposed, for a look at it.
pub fn run<B: Backend>(backend: impl Future<Output = B>, name: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let backend = runtime.block_on(backend);
    // Not on one bench: each sequence starts from an empty storage.
    if name == "random::random_operations" {
        random_operations::run(&backend, &runtime);
        return;
    }
    runtime.block_on(async {
        let storage = Arc::new(backend.fresh().await);
        let bench = Bench::new(storage.clone(), backend.capabilities()).await;
        run_case(&bench, name).await;
        backend.dispose(&storage).await;
    });
}

async fn run_case(bench: &Bench, name: &str) {
    __cases! { [call bench, name] }
}
